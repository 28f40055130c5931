import { mkdirSync, readFileSync } from 'node:fs';
import { LogOutput } from '@zenith/base';
import { openRemoteStorage } from '@zenith/remote-storage';
import { Command } from 'commander';
import { pino } from 'pino';
import { scrubArchive } from './archive/scrub-archive.ts';
import { readConfiguration } from './configuration/configuration.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Tells whoever started this process with an IPC channel how the start went. Resolves when it was handed over. */
function report(message: object): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, () => resolve());
  });
}

async function serve(dataDirectory: string): Promise<void> {
  let safekeeper: Safekeeper;
  const output = new LogOutput();
  let log = pino(output);
  try {
    mkdirSync(dataDirectory, { recursive: true });
    const configuration = readConfiguration(dataDirectory);
    log = pino({ level: configuration.logLevel, base: { service: 'safekeeper', id: configuration.id } }, output);
    safekeeper = await Safekeeper.start({
      dataDirectory,
      configuration,
      disk: localDisk,
      log,
      version,
      nowMs: Date.now,
    });
  } catch (error) {
    const { message } = error as Error;
    log.fatal({ err: error }, 'safekeeper did not start');
    if (process.send === undefined) process.stderr.write(`safekeeper: ${message}\n`);
    await report({ ready: false, error: message });
    process.exit(1);
  }
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    safekeeper.stop().then(
      () => {
        log.info({}, 'stopped');
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
  log.info(safekeeper.addresses, 'safekeeper serves');
  await report({ ready: true, ...safekeeper.addresses });
  if (process.connected) process.disconnect();
}

async function scrub({ location, quick }: { location: string; quick?: boolean }): Promise<void> {
  const storage = await openRemoteStorage(location);
  try {
    process.stdout.write(`${JSON.stringify(await scrubArchive(storage, { readSegments: quick !== true }))}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  } finally {
    storage.close();
  }
}

const program = new Command('safekeeper')
  .description('Stores WAL durably and takes part in the quorum')
  .version(version);
program
  .command('serve')
  .description('serve until SIGTERM')
  .requiredOption('--data-dir <directory>', 'holds safekeeper.json and all data')
  .action(({ dataDir }: { dataDir: string }) => serve(dataDir));

program
  .command('scrub')
  .description('compare the archived WAL with its descriptions; prints one line of JSON')
  .requiredOption('--location <location>', 'the remote storage: a folder, or s3://bucket/prefix')
  .option('--quick', 'compare lengths only, instead of reading every segment')
  .action(scrub);

await program.parseAsync();
