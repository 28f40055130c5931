import { readFileSync } from 'node:fs';
import { parseTenantId, parseTimelineId } from '@zenith/base';
import { openRemoteStorage } from '@zenith/remote-storage';
import { runService } from '@zenith/service';
import { Command } from 'commander';
import { readOptions } from './options.ts';
import { bootstrap } from './process/bootstrap.ts';
import { Pageserver } from './process/pageserver.ts';
import { scrub } from './remote/scrub.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

function serve(dataDirectory: string): Promise<void> {
  return runService('pageserver', (makeLog) => {
    const options = readOptions(dataDirectory);
    const log = makeLog(options.logLevel, {});
    const now = (): number => performance.now();
    return Pageserver.start({ dataDirectory, options, log, version, now, wallClock: Date.now });
  });
}

async function runBootstrap(given: {
  dataDir: string;
  tenant: string;
  timeline: string;
  pgdata: string;
}): Promise<void> {
  try {
    const options = {
      dataDirectory: given.dataDir,
      tenant: parseTenantId(given.tenant),
      timeline: parseTimelineId(given.timeline),
      pgdata: given.pgdata,
    };
    let percent = 0;
    const result = await bootstrap(options, ({ pages, totalPages }) => {
      const now = totalPages === 0 ? 100 : Math.floor((pages * 100) / totalPages);
      if (now >= percent + 10) process.stderr.write(`imported ${(percent = now)} % of ${totalPages} pages\n`);
    });
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

async function runScrub(given: { location: string; quick?: boolean; deleteOrphans?: boolean }): Promise<void> {
  const storage = await openRemoteStorage(given.location);
  try {
    const report = await scrub(storage, {
      readLayers: given.quick !== true,
      deleteOrphans: given.deleteOrphans === true,
    });
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  } finally {
    storage.close();
  }
}

const program = new Command('pageserver')
  .description('Ingests WAL and serves any page of any branch at any LSN')
  .version(version);
program
  .command('serve')
  .description('serve until SIGTERM')
  .requiredOption('--data-dir <directory>', 'holds pageserver.json and all data')
  .action(({ dataDir }: { dataDir: string }) => serve(dataDir));
program
  .command('bootstrap')
  .description(
    'import a PostgreSQL data directory that was shut down cleanly as a new timeline; prints one line of JSON',
  )
  .requiredOption('--data-dir <directory>', "the pageserver's data directory; the pageserver must not run")
  .requiredOption('--tenant <id>', 'tenant the timeline belongs to, 32 hexadecimal digits')
  .requiredOption('--timeline <id>', 'id of the new timeline, 32 hexadecimal digits')
  .requiredOption('--pgdata <directory>', 'what to import')
  .action(runBootstrap);

program
  .command('scrub')
  .description('compare the indexes in remote storage with what is there; prints one line of JSON')
  .requiredOption('--location <place>', 'a folder, or s3://…')
  .option('--quick', 'compare lengths, not checksums')
  .option('--delete-orphans', 'remove objects that no index names and nobody can come to name')
  .action(runScrub);

await program.parseAsync();
