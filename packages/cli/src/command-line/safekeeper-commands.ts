import type { NodeId } from '@zenith/control-plane';
import { Command } from 'commander';
import { safekeeperArgument } from './arguments.ts';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** `zenith safekeeper …` */
export function safekeeperCommand(around: Surroundings): Command {
  const list = describeCommand('list', 'list the safekeepers and who of them votes', ['zenith safekeeper list']).action(
    async (_options: object, command: Command) => {
      const work = await import('../commands/safekeeper.ts');
      await runWork(around, command, work.safekeeperList);
    },
  );
  const add = describeCommand('add', 'add one: it copies the WAL, then votes', ['zenith safekeeper add']).action(
    async (_options: object, command: Command) => {
      const work = await import('../commands/safekeeper.ts');
      await runWork(around, command, (context) => work.safekeeperChange(context, { kind: 'add' }));
    },
  );
  const change = (kind: 'remove' | 'replace', description: string): Command =>
    describeCommand(kind, description, [`zenith safekeeper ${kind} 2`])
      .argument('<id>', 'the safekeeper that leaves', safekeeperArgument)
      .action(async (id: NodeId, _options: object, command: Command) => {
        const work = await import('../commands/safekeeper.ts');
        await runWork(around, command, (context) => work.safekeeperChange(context, { kind, id }));
      });
  const abort = describeCommand('abort', 'take back a change that has not come to its end', [
    'zenith safekeeper abort',
  ]).action(async (_options: object, command: Command) => {
    const work = await import('../commands/safekeeper.ts');
    await runWork(around, command, work.safekeeperAbort);
  });
  const restore = describeCommand(
    'restore',
    "after the loss of all safekeepers' disks: make their WAL out of the archive, and say where it ends",
    ['zenith safekeeper restore'],
  ).action(async (_options: object, command: Command) => {
    const work = await import('../commands/safekeeper.ts');
    await runWork(around, command, work.safekeeperRestore);
  });
  const all = new Command('safekeeper').description(
    'safekeepers: list, add, remove, replace, while commits go on; a command that was interrupted is given again',
  );
  for (const command of [
    list,
    add,
    change('remove', 'remove one'),
    change('replace', 'put a new one in the place of one, which may be lost'),
    abort,
    restore,
  ])
    all.addCommand(command);
  return all;
}
