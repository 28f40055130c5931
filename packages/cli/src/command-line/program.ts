import { Command } from 'commander';
import { authCommand } from './auth-commands.ts';
import { branchCommand } from './branch-commands.ts';
import { pageCommand } from './page-command.ts';
import { portArgument, settingArgument } from './arguments.ts';
import { configCommand, gcCommand, lsnCommand } from './history-commands.ts';
import { addInitOptions, initOptions, type ParsedInitOptions } from './init-options.ts';
import { describeCommand, runWork, type Surroundings } from './runner.ts';
import { leaseCommand } from './lease-command.ts';
import { exportCommand, layersCommand, scrubCommand } from './storage-commands.ts';
import { safekeeperCommand } from './safekeeper-commands.ts';

/** What every help ends with. */
const EXIT_CODES =
  '\nExit status: 0 done, 1 failed (nothing half done), 2 wrong usage, 3 a defect in zenith, 130 interrupted.';

function nodeCommands(around: Surroundings): Command[] {
  const init = addInitOptions(
    describeCommand('init', 'make a repository: a new PostgreSQL cluster as branch main', [
      'zenith init',
      'zenith init --pg-version 17 --safekeepers 3',
      'zenith init --auth',
    ]),
  ).action(async (options: ParsedInitOptions, command: Command) => {
    const work = await import('../commands/init.ts');
    await runWork(around, command, (context) => work.init(context, initOptions(options)));
  });
  const start = describeCommand('start', 'start the pageserver and the safekeepers', ['zenith start']).action(
    async (_options: object, command: Command) => {
      const work = await import('../commands/nodes.ts');
      await runWork(around, command, work.start);
    },
  );
  const stop = describeCommand('stop', 'stop everything that runs: PostgreSQL, pageserver, safekeepers', [
    'zenith stop',
    'zenith stop --immediate',
  ])
    .option('--immediate', 'end the processes at once; nothing acknowledged is lost')
    .action(async (options: { immediate?: boolean }, command: Command) => {
      const work = await import('../commands/nodes.ts');
      await runWork(around, command, (context) => work.stop(context, options));
    });
  const restart = describeCommand(
    'restart',
    'restart the pageserver and the safekeepers one by one, under running PostgreSQL servers',
    ['zenith restart'],
  ).action(async (_options: object, command: Command) => {
    const work = await import('../commands/nodes.ts');
    await runWork(around, command, work.restart);
  });
  const status = describeCommand('status', 'show every node, branch and endpoint with health, LSNs and lag', [
    'zenith status',
    'zenith status --json',
  ]).action(async (_options: object, command: Command) => {
    const work = await import('../commands/status.ts');
    await runWork(around, command, work.status);
  });
  return [init, start, stop, restart, status];
}

function pgCommand(around: Surroundings): Command {
  const create = describeCommand('create', 'create an endpoint on a branch without starting it', [
    'zenith pg create main --port 6000 --set work_mem=64MB',
  ])
    .argument('<branch>', 'the branch it is for')
    .option('--name <name>', "the endpoint's name (default: the branch's)")
    .option('--port <port>', 'port for PostgreSQL (default: the next free one)', portArgument)
    .option('--set <name=value>', 'a PostgreSQL setting; may be repeated', settingArgument, {})
    .action(
      async (
        branch: string,
        options: { name?: string; port?: number; set: Record<string, string> },
        command: Command,
      ) => {
        const work = await import('../commands/pg.ts');
        const { set: settings, ...rest } = options;
        await runWork(around, command, (context) => work.pgCreate(context, branch, { ...rest, settings }));
      },
    );
  const start = describeCommand(
    'start',
    "start PostgreSQL on an endpoint; a branch's own endpoint is created when it has none",
    ['zenith pg start main', 'zenith pg start main --set shared_buffers=512MB'],
  )
    .argument('<name>', 'an endpoint, or a branch')
    .option('--port <port>', 'move it to this port, from now on', portArgument)
    .option('--set <name=value>', 'a PostgreSQL setting, from now on; may be repeated', settingArgument, {})
    .action(async (name: string, options: { port?: number; set: Record<string, string> }, command: Command) => {
      const work = await import('../commands/pg.ts');
      const { set: settings, ...rest } = options;
      await runWork(around, command, (context) => work.pgStart(context, name, { ...rest, settings }));
    });
  const stop = describeCommand('stop', 'stop PostgreSQL on an endpoint', [
    'zenith pg stop main',
    'zenith pg stop migration_check --destroy',
  ])
    .argument('<name>', 'the endpoint')
    .option('--destroy', 'remove the endpoint and its settings too; the branch and its data stay')
    .option('--immediate', 'stop without a checkpoint; nothing acknowledged is lost')
    .action(async (name: string, options: { destroy?: boolean; immediate?: boolean }, command: Command) => {
      const work = await import('../commands/pg.ts');
      await runWork(around, command, (context) => work.pgStop(context, name, options));
    });
  const list = describeCommand('list', 'list the endpoints', ['zenith pg list']).action(
    async (_options: object, command: Command) => {
      const work = await import('../commands/pg.ts');
      await runWork(around, command, work.pgList);
    },
  );
  return addCommands(new Command('pg').description('PostgreSQL servers on branches: create, start, stop, list'), [
    create,
    start,
    stop,
    list,
  ]);
}

function psqlCommand(around: Surroundings): Command {
  return describeCommand('psql', 'open psql on a running branch; with --json print how to connect instead', [
    'zenith psql',
    'zenith psql migration_check',
    'zenith psql migration_check -Atc "select 1"',
    'zenith psql -- --help',
  ])
    .argument('[branch]', 'the branch (default: main)')
    .argument('[args...]', "psql's own arguments; after -- those that are zenith's, too")
    .allowUnknownOption()
    .action(async (branch: string | undefined, args: string[], options: { json?: boolean }, command: Command) => {
      const work = await import('../commands/psql.ts');
      // Without a branch the first of psql's own arguments lands where it would be; no branch begins with '-'.
      const named = branch?.startsWith('-') === true ? undefined : branch;
      const own = named === branch ? args : [branch ?? '', ...args];
      await runWork(around, command, async (context) => {
        const target = await work.psqlTarget(context, named);
        if (options.json !== true) process.exitCode = await work.runPsql(target, own);
        return { ...target };
      });
    });
}

function upCommand(around: Surroundings): Command {
  const command = describeCommand(
    'up',
    'make a repository if there is none, start everything, and say how to connect; harmless when it runs',
    ['zenith up', 'zenith up --demo'],
  ).option('--demo', 'play a session on it: a table, a branch, and a change that only the branch sees');
  return addInitOptions(command).action(async (options: ParsedInitOptions & { demo?: boolean }, given: Command) => {
    const work = await import('../commands/up.ts');
    await runWork(around, given, (context) =>
      work.up(context, { ...initOptions(options), ...(options.demo === true ? { demo: true } : {}) }),
    );
  });
}

function addCommands(parent: Command, commands: readonly Command[]): Command {
  for (const command of commands) parent.addCommand(command);
  return parent;
}

function applyEverywhere(command: Command, apply: (command: Command) => unknown): void {
  apply(command);
  for (const child of command.commands) applyEverywhere(child, apply);
}

/**
 * The whole command line. Errors are thrown (CommanderError for wrong usage), never printed; help is printed on the given streams.
 * @param version of this release
 */
export function buildProgram(around: Surroundings, version: string): Command {
  const program = new Command('zenith')
    .description('PostgreSQL with storage separated from compute: branches that copy nothing')
    .version(version, '-V, --version', 'print the version');
  addCommands(program, [
    ...nodeCommands(around),
    pgCommand(around),
    branchCommand(around),
    lsnCommand(around),
    configCommand(around),
    gcCommand(around),
    leaseCommand(around),
    psqlCommand(around),
    exportCommand(around),
    layersCommand(around),
    scrubCommand(around),
    pageCommand(around),
    safekeeperCommand(around),
    authCommand(around),
    upCommand(around),
  ]);
  program.addHelpText(
    'after',
    "\nStart here: zenith init && zenith start && zenith pg start main, or 'zenith up' for all three.",
  );
  applyEverywhere(program, (command) =>
    command
      .exitOverride()
      // So that an option behind the name of a command below is that command's.
      .enablePositionalOptions()
      .showSuggestionAfterError()
      .helpCommand(false)
      .addHelpText('after', EXIT_CODES)
      .configureOutput({ writeOut: (text) => around.stdout.write(text), writeErr: () => undefined }),
  );
  return program;
}
