import type { Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** `zenith layers` */
export function layersCommand(around: Surroundings): Command {
  return describeCommand('layers', 'list and draw the layers of a branch: keys × LSNs', [
    'zenith layers main',
    'zenith layers main --svg layers.svg',
  ])
    .argument('<branch>', 'the branch')
    .option('--svg <file>', 'draw them in this file too')
    .action(async (branch: string, options: { svg?: string }, command: Command) => {
      const work = await import('../commands/layers.ts');
      await runWork(around, command, (context) => work.layers(context, branch, options));
    });
}

/** `zenith scrub` */
export function scrubCommand(around: Surroundings): Command {
  return describeCommand(
    'scrub',
    'compare remote storage with its indexes and the archived WAL; exits with 1 when an object is missing or corrupt',
    ['zenith scrub', 'zenith scrub --quick --json', 'zenith scrub --delete-orphans'],
  )
    .option('--quick', 'compare lengths only, instead of reading every layer and segment')
    .option('--delete-orphans', 'remove objects that no index names and nobody can come to name')
    .action(async (options: { quick?: boolean; deleteOrphans?: boolean }, command: Command) => {
      const work = await import('../commands/scrub.ts');
      await runWork(around, command, (context) => work.scrub(context, options));
    });
}

/** `zenith export` */
export function exportCommand(around: Surroundings): Command {
  return describeCommand(
    'export',
    'copy a branch, as it is or was, into a data directory that a stock PostgreSQL runs without Zenith, or as a standby of the branch',
    [
      'zenith export main /srv/copy',
      "zenith export main@'2026-11-22 10:00:00' /srv/copy",
      'zenith export main /srv/standby --standby',
    ],
  )
    .argument('<branch>', 'BRANCH, BRANCH@LSN or BRANCH@TIME')
    .argument('<directory>', 'the data directory to be made')
    .option('--standby', 'make a standby that follows the safekeepers; PostgreSQL must run on the branch meanwhile')
    .action(async (branch: string, directory: string, options: { standby?: boolean }, command: Command) => {
      const work = await import('../commands/export.ts');
      await runWork(around, command, (context) => work.exportData(context, branch, directory, options));
    });
}
