import { mkdirSync, readFileSync } from 'node:fs';
import { openRemoteStorage } from '@zenith/remote-storage';
import { runService } from '@zenith/service';
import { Command } from 'commander';
import { scrubArchive } from './archive/scrub-archive.ts';
import { readConfiguration } from './configuration/configuration.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

function serve(dataDirectory: string): Promise<void> {
  return runService('safekeeper', (makeLog) => {
    mkdirSync(dataDirectory, { recursive: true });
    const configuration = readConfiguration(dataDirectory);
    const log = makeLog(configuration.logLevel, { id: configuration.id });
    return Safekeeper.start({ dataDirectory, configuration, disk: localDisk, log, version, nowMs: Date.now });
  });
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
  .description('compare the archived WAL with its descriptions and decode it; prints one line of JSON')
  .requiredOption('--location <location>', 'the remote storage: a folder, or s3://bucket/prefix')
  .option('--quick', 'compare lengths only, instead of reading every segment')
  .action(scrub);

await program.parseAsync();
