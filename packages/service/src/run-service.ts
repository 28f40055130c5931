import { LogOutput } from '@zenith/base';
import { pino, type Logger } from 'pino';
import { reportStart } from './start-report.ts';

/** A service that runs. */
export interface Running {
  /** Where it listens. */
  readonly addresses: object;
  /** Ends it; rejects when not all could be written. */
  stop(): Promise<void>;
}

/** Makes the service's log once its configuration is known: how much it says, and what stands in each line. */
export type MakeLog = (level: string, base: object) => Logger;

/**
 * Starts a service, tells how that went to the log and to whoever started this process, and ends the process on SIGTERM or SIGINT: status 0 when everything was written, otherwise 1.
 * @param name as it stands in the log
 * @param start starts it; a failure ends the process with status 1, its message on standard error when nobody else is told
 */
export async function runService(name: string, start: (makeLog: MakeLog) => Promise<Running>): Promise<void> {
  const output = new LogOutput();
  let log = pino({ base: { service: name } }, output);
  let running: Running;
  try {
    running = await start((level, base) => (log = pino({ level, base: { service: name, ...base } }, output)));
  } catch (error) {
    const { message } = error as Error;
    log.fatal({ err: error }, `${name} did not start`);
    if (process.send === undefined) process.stderr.write(`${name}: ${message}\n`);
    await reportStart({ ready: false, error: message });
    process.exit(1);
  }
  endOnSignal(running, log);
  log.info(running.addresses, `${name} serves`);
  await reportStart({ ready: true, ...running.addresses });
  if (process.connected) process.disconnect();
}

function endOnSignal(running: Running, log: Logger): void {
  let isStopping = false;
  const stop = (signal: string): void => {
    if (isStopping) return;
    isStopping = true;
    log.info({ signal }, 'stopping');
    running.stop().then(
      () => {
        log.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'stopped without having written everything');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}
