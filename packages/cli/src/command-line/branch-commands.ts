import { InvalidArgumentError, type Command } from 'commander';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** `zenith branch …` */
export function branchCommand(around: Surroundings): Command {
  const branch = describeCommand('branch', 'show the tree of branches, create a branch, or change one', [
    'zenith branch',
    'zenith branch --sizes',
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
    .option('--sizes', 'show how large each branch is: at its end, its history, and what only it has')
    .action(
      async (name: string | undefined, start: string | undefined, options: { sizes?: boolean }, command: Command) => {
        const work = await import('../commands/branch.ts');
        if (options.sizes === true && name !== undefined)
          throw new InvalidArgumentError('--sizes shows all branches: it takes no name');
        await runWork(around, command, (context) => {
          if (options.sizes === true) return work.branchSizes(context);
          return name === undefined ? work.branchTree(context) : work.branchCreate(context, name, start);
        });
      },
    );
  for (const command of changeCommands(around)) branch.addCommand(command);
  return branch;
}

function changeCommands(around: Surroundings): Command[] {
  const remove = describeCommand('delete', 'delete a branch with its endpoints and data', [
    'zenith branch delete migration_check',
    'zenith branch delete migration_check --if-exists',
  ])
    .argument('<name>', 'the branch; it has no branches, is not protected, and no PostgreSQL runs on it')
    .option('--if-exists', 'no error when there is no such branch')
    .action(async (name: string, options: { ifExists?: boolean }, command: Command) => {
      const work = await import('../commands/branch-changes.ts');
      await runWork(around, command, (context) => work.branchDelete(context, name, options));
    });
  const rename = describeCommand('rename', 'give a branch another name', ['zenith branch rename migration_check done'])
    .argument('<name>', 'the branch')
    .argument('<new>', 'its new name')
    .action(async (name: string, to: string, _options: object, command: Command) => {
      const work = await import('../commands/branch-changes.ts');
      await runWork(around, command, (context) => work.branchRename(context, name, to));
    });
  const reset = describeCommand('reset', 'make a branch what its parent is now: its own changes are deleted', [
    'zenith branch reset migration_check',
    'zenith branch reset migration_check --keep-as first_try',
  ])
    .argument('<name>', 'the branch')
    .option('--keep-as <name>', 'keep the present state as a branch of this name')
    .action(async (name: string, options: { keepAs?: string }, command: Command) => {
      const work = await import('../commands/branch-changes.ts');
      await runWork(around, command, (context) => work.branchReset(context, name, options));
    });
  const restore = describeCommand('restore', 'take a branch back to an LSN or a time; the present state is kept', [
    'zenith branch restore main --to 0/16B3D98 --keep-as main_broken',
    "zenith branch restore main --to '2026-11-22 10:00:00'",
  ])
    .argument('<name>', 'the branch')
    .requiredOption(
      '--to <position>',
      'an LSN, or a time (local unless a zone is given) of which the last commit before counts',
    )
    .option('--keep-as <name>', 'the branch that the present state becomes (default: NAME_before_ and the time)')
    .action(async (name: string, options: { to: string; keepAs?: string }, command: Command) => {
      const work = await import('../commands/branch-changes.ts');
      await runWork(around, command, (context) => work.branchRestore(context, name, options));
    });
  return [remove, rename, reset, restore, protectCommand(around, true), protectCommand(around, false)];
}

function protectCommand(around: Surroundings, isProtected: boolean): Command {
  const name = isProtected ? 'protect' : 'unprotect';
  const what = isProtected
    ? 'keep a branch from being deleted, reset or restored'
    : 'let a protected branch be deleted, reset and restored again';
  return describeCommand(name, what, [`zenith branch ${name} main`])
    .argument('<name>', 'the branch')
    .action(async (branch: string, _options: object, command: Command) => {
      const work = await import('../commands/branch-changes.ts');
      await runWork(around, command, (context) => work.branchProtect(context, branch, isProtected));
    });
}
