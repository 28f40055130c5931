import type { Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** `zenith lease …` */
export function leaseCommand(around: Surroundings): Command {
  const lease = describeCommand('lease', 'keep an LSN of a branch readable for a time, list leases, or end one', [
    'zenith lease main',
    'zenith lease main --lsn 0/16B3D98 --for 7d --name audit',
    'zenith lease list',
    'zenith lease release main audit',
  ])
    .argument('<branch>', 'the branch')
    .option('--lsn <lsn>', 'what is to stay readable (default: the end of the branch)')
    .option('--for <time>', 'how long (s, min, h, d, w), at most 31d', '1h')
    .option('--name <name>', 'one of this name is replaced (default: a new name)')
    .action(async (branch: string, options: { lsn?: string; for: string; name?: string }, command: Command) => {
      const work = await import('../commands/lease.ts');
      await runWork(around, command, (context) => work.leaseTake(context, branch, options));
    });
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
  return lease.addCommand(list).addCommand(release);
}
