import type { Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

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

/** `zenith config …` */
export function configCommand(around: Surroundings): Command {
  const config = describeCommand('config', 'show what is configured, or change it', [
    'zenith config',
    'zenith config set history 7d',
  ]).action(async (_options: object, command: Command) => {
    const work = await import('../commands/history.ts');
    await runWork(around, command, work.configShow);
  });
  const set = describeCommand('set', 'change how much history of every branch is kept: as much as both settings say', [
    'zenith config set history 7d',
    'zenith config set history-bytes 1GB',
  ])
    .argument(
      '<name>',
      'history, a length of time (s, min, h, d, w), or history-bytes, a size of WAL (B, kB, MB, GB, TB)',
    )
    .argument('<value>', 'for instance 36h, or 512MB')
    .action(async (name: string, value: string, _options: object, command: Command) => {
      const work = await import('../commands/history.ts');
      await runWork(around, command, (context) => work.configSet(context, name, value));
    });
  return config.addCommand(set);
}

/** `zenith gc` */
export function gcCommand(around: Surroundings): Command {
  return describeCommand('gc', 'drop the history that is not kept, now instead of within ten minutes', [
    'zenith gc',
    'zenith gc main',
  ])
    .argument('[branch]', 'one branch (default: all)')
    .action(async (branch: string | undefined, _options: object, command: Command) => {
      const work = await import('../commands/history.ts');
      await runWork(around, command, (context) => work.gc(context, branch));
    });
}
