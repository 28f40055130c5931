import {
  ControlPlaneError,
  createBranch,
  findRepository,
  listBranches,
  MAIN_BRANCH,
  type JsonValue,
  type Repository,
} from '@zenith/control-plane';
import { formatLsn } from '@zenith/base';
import { shownPath, type CommandContext } from '../command-context.ts';
import { branchTree } from '../commands/branch.ts';
import { openOrMakeRepository, type InitCommandOptions } from '../commands/init.ts';
import { startIn } from '../commands/nodes.ts';
import { pgList, pgStop, startPostgres } from '../commands/pg.ts';
import { SqlSession, type SqlTarget, type TextRow } from './sql-session.ts';

/** Most demonstrations that can be played in one repository. */
const DEMOS_MAX = 1000;

/** What the demonstration makes: a table and a branch whose names nobody uses yet. */
interface DemoNames {
  readonly table: string;
  readonly branch: string;
}

async function freeNames(repository: Repository, main: SqlTarget, { output }: CommandContext): Promise<DemoNames> {
  const taken = new Set((await listBranches(repository)).map((branch) => branch.name));
  for (const endpoint of await repository.catalog.endpoints()) taken.add(endpoint.name);
  const tables = await SqlSession.with(main, output, (session) =>
    session.ask('select relname from pg_class where relname like $1', ['t%']),
  );
  const relations = new Set(tables.map((row) => row['relname']));
  for (let number = 1; number <= DEMOS_MAX; number++) {
    const suffix = number === 1 ? '' : `_${number}`;
    const names = { table: `t${suffix}`, branch: `migration_check${suffix}` };
    if (!relations.has(names.table) && !taken.has(names.branch)) return names;
  }
  throw new ControlPlaneError(
    'branch-exists',
    `the demonstration was played ${DEMOS_MAX} times in this repository: make a new one to see it again`,
  );
}

function requireRows(what: string, rows: readonly TextRow[], expected: number): void {
  if (rows.length !== expected)
    throw new ControlPlaneError(
      'service-failed',
      `the demonstration went wrong: ${what} shows ${rows.length} rows instead of ${expected}`,
    );
}

/**
 * Plays a session for real, as a person would type it: a database, a branch of it, and a change on the branch that the database does not see. May be played again: names that
 * are taken are avoided, nothing of the user's is touched.
 * @throws ControlPlaneError when any step of it fails or shows something else than it must
 */
export async function playDemo(context: CommandContext, options: InitCommandOptions): Promise<JsonValue> {
  const { output } = context;
  const prompt = (command: string): void => output.line(`> ${command}`);

  prompt('zenith init');
  const found = findRepository(context.folder);
  if (found !== undefined) output.line(`the zenith repository in ${shownPath(context, found)} is there already`);
  const repository = await openOrMakeRepository(context, options);
  prompt('zenith start');
  await startIn(repository, context);
  prompt(`zenith pg start ${MAIN_BRANCH}`);
  const { endpoint: main } = await startPostgres(repository, context, MAIN_BRANCH);
  prompt('zenith pg list');
  await pgList(context);

  const { host, superuser: user } = repository.config;
  const onMain = { host, port: main.port, user };
  const { table, branch } = await freeNames(repository, onMain, context);
  prompt(`psql -p${main.port} -h ${host} postgres`);
  await SqlSession.with(onMain, output, async (session) => {
    await session.run(`create table ${table}(key int primary key, value text);`);
    await session.run(`insert into ${table} values(1,1);`);
    requireRows('main', await session.run(`select * from ${table};`), 1);
  });

  prompt(`zenith branch ${branch} ${MAIN_BRANCH}`);
  const { record } = await createBranch(repository, branch, MAIN_BRANCH);
  output.line(`Created branch '${branch}' at ${formatLsn(record.startLsn)}`);
  prompt('zenith branch');
  await branchTree(context);
  prompt(`zenith pg start ${branch}`);
  const { endpoint: child } = await startPostgres(repository, context, branch);
  prompt('zenith pg list');
  await pgList(context);

  prompt(`psql -p${child.port} -h ${host} postgres`);
  await SqlSession.with({ host, port: child.port, user }, output, async (session) => {
    requireRows(`the branch '${branch}'`, await session.run(`select * from ${table};`), 1);
    await session.run(`insert into ${table} values(2,2);`);
    requireRows(`the branch '${branch}'`, await session.run(`select * from ${table};`), 2);
  });
  prompt(`psql -p${main.port} -h ${host} postgres`);
  await SqlSession.with(onMain, output, async (session) =>
    requireRows('main', await session.run(`select * from ${table};`), 1),
  );

  prompt(`zenith pg stop ${branch}`);
  await pgStop(context, branch, {});

  return { table, branch, startLsn: formatLsn(record.startLsn), main: main.port, child: child.port };
}
