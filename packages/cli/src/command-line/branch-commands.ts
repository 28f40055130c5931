import type { Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** `zenith branch …` */
export function branchCommand(around: Surroundings): Command {
  return describeCommand('branch', 'show the tree of branches, or create a branch', [
    'zenith branch',
    'zenith branch migration_check main',
    'zenith branch earlier main@0/16B3D98',
    "zenith branch yesterday main@'2026-11-22 10:00:00'",
    "zenith branch yesterday main@'2026-11-22 10:00:00+01'",
    'zenith branch copy 1f0c…32 hexadecimal digits…@0/16B3D98',
  ])
    .argument('[name]', 'the new branch')
    .argument(
      '[start]',
      'where it starts: a branch or a timeline id, with @LSN, @TIME (local time unless a zone is given), or neither (default: the end of main)',
    )
    .action(async (name: string | undefined, start: string | undefined, _options: object, command: Command) => {
      const work = await import('../commands/branch.ts');
      await runWork(around, command, (context) =>
        name === undefined ? work.branchTree(context) : work.branchCreate(context, name, start),
      );
    });
}

/** `zenith lsn` */
export function lsnCommand(around: Surroundings): Command {
  return describeCommand('lsn', 'show where a branch ends, or where it was at a time', [
    'zenith lsn main',
    "zenith lsn main --at '2026-11-22 10:00:00'",
    "zenith lsn main --at '2026-11-22 10:00:00.5 UTC'",
  ])
    .argument('<branch>', 'the branch')
    .option(
      '--at <time>',
      'the last commit at or before this time, local time unless a zone (Z, UTC, +01, +05:30) is given',
    )
    .action(async (branch: string, options: { at?: string }, command: Command) => {
      const work = await import('../commands/lsn.ts');
      await runWork(around, command, (context) => work.showLsn(context, branch, options));
    });
}
