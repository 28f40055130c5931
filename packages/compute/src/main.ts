import { certificateOf, gateOf } from '@zenith/auth';
import { LogOutput } from '@zenith/base';
import { PidFile, reportStart } from '@zenith/service';
import { Command } from 'commander';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { messageOf } from './errors.ts';
import { readComputeConfig } from './supervisor/config.ts';
import { SupervisorHttp } from './supervisor/http.ts';
import type { SupervisorState } from './supervisor/status.ts';
import { Supervisor } from './supervisor/supervisor.ts';

/** How the process ends. */
const EXIT_CODE: Readonly<Record<SupervisorState, number>> = {
  starting: 1,
  running: 1,
  restarting: 1,
  stopping: 1,
  failed: 1,
  stopped: 0,
  fenced: 3,
};

async function serve(dataDir: string): Promise<void> {
  const log = pino({ name: 'compute', level: process.env['ZENITH_LOG_LEVEL'] ?? 'info' }, new LogOutput());
  let exitCode = 1;
  let pidFile: PidFile | undefined;
  let http: SupervisorHttp | undefined;
  try {
    const config = readComputeConfig(join(dataDir, 'compute.json'));
    pidFile = PidFile.acquire(join(dataDir, 'supervisor.pid'));
    const supervisor = new Supervisor(config, dataDir, log);
    const { tenant, timeline } = config;
    const gate = gateOf(config.auth, log);
    const handlers = {
      status: () => supervisor.status,
      stop: (mode: 'fast' | 'immediate') => supervisor.stop(mode),
      learnSafekeepers: (addresses: typeof config.safekeepers) => supervisor.learnSafekeepers(addresses),
    };
    http = await SupervisorHttp.listen(
      config.http.host,
      config.http.port,
      handlers,
      gate === undefined ? undefined : { gate, target: { tenant, timeline } },
      certificateOf(config.tls, log),
    );
    // The first signal asks for a clean stop, another one for an immediate one.
    let signals = 0;
    const onSignal = (): void => supervisor.stop(signals++ === 0 ? 'fast' : 'immediate');
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    await supervisor.start();
    await reportStart({
      ready: true,
      postgresPort: config.postgres.port,
      httpPort: http.port,
      ...(supervisor.status.postgresPid === undefined ? {} : { postgresPid: supervisor.status.postgresPid }),
    });
    const state = await supervisor.done;
    log.info({ state }, supervisor.status.message);
    exitCode = EXIT_CODE[state];
  } catch (error) {
    log.error({ err: error }, 'compute failed to start');
    await reportStart({ ready: false, error: messageOf(error) });
  } finally {
    http?.close();
    pidFile?.release();
  }
  process.exit(exitCode);
}

const program = new Command('zenith-compute').description(
  'Runs one compute: a stock PostgreSQL and the proposer of its WAL',
);
program
  .command('serve')
  .description('build the data directory, run PostgreSQL until it is told to stop')
  .requiredOption('--data-dir <dir>', 'the compute directory, which holds compute.json')
  .action(({ dataDir }: { dataDir: string }) => serve(resolve(dataDir)));
await program.parseAsync();
