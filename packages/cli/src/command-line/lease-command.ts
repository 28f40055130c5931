import type { Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** What `zenith lease BRANCH` and `zenith lease take BRANCH` are given, and do. */
function describeTake(around: Surroundings, command: Command): Command {
  return command
    .argument('<branch>', 'the branch')
    .option('--lsn <lsn>', 'what is to stay readable (default: the end of the branch)')
    .option('--for <time>', 'how long (s, min, h, d, w), at most 31d', '1h')
    .option('--name <name>', 'one of this name is replaced (default: a new name)')
    .action(async (branch: string, options: { lsn?: string; for: string; name?: string }, given: Command) => {
      const work = await import('../commands/lease.ts');
      await runWork(around, given, (context) => work.leaseTake(context, branch, options));
    });
}

/** `zenith lease …` */
export function leaseCommand(around: Surroundings): Command {
  const lease = describeTake(
    around,
    describeCommand('lease', 'keep an LSN of a branch readable for a time, list leases, or end one', [
      'zenith lease main',
      'zenith lease main --lsn 0/16B3D98 --for 7d --name audit',
      'zenith lease list',
      'zenith lease release main audit',
    ]),
  );
  const take = describeTake(
    around,
    describeCommand('take', 'the same as without this word, for a branch that has the name of a command', [
      'zenith lease take release',
    ]),
  );
  const list = describeCommand('list', 'list leases, those of running PostgreSQL servers too', [
    'zenith lease list',
    'zenith lease list main',
  ])
    .argument('[branch]', 'one branch (default: all)')
    .action(async (branch: string | undefined, _options: object, command: Command) => {
      const work = await import('../commands/lease.ts');
      await runWork(around, command, (context) => work.leaseList(context, branch));
    });
  const release = describeCommand('release', 'end a lease', ['zenith lease release main audit'])
    .argument('<branch>', 'the branch')
    .argument('<name>', 'the lease, as zenith lease list shows it')
    .action(async (branch: string, name: string, _options: object, command: Command) => {
      const work = await import('../commands/lease.ts');
      await runWork(around, command, (context) => work.leaseRelease(context, branch, name));
    });
  return lease.addCommand(take).addCommand(list).addCommand(release);
}
