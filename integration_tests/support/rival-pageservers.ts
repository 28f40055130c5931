import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import type { RemoteStorage } from '@zenith/remote-storage';
import { freePorts } from '@zenith/testing';
import { PageClient, type PageRelation } from '@zenith/wire';
import { expect } from 'vitest';
import { serviceEntryPoint } from '../../packages/control-plane/src/nodes/entry-points.ts';
import { launchService } from '../../packages/control-plane/src/process/launch.ts';
import { scrub } from '../../packages/pageserver/src/remote/scrub.ts';
import { TcpProxy } from '../chaos/tcp-proxy.ts';
import { metricAt } from './pageserver-metric.ts';
import { settleBranch, type TimelineJson } from './pageserver-timeline.ts';
import { killAndWait, type Zenith } from './zenith.ts';

/** How long something is waited for that comes for sure. */
const PATIENCE = { timeout: 90_000 };

/** How long the older pageserver lets a read wait for WAL. Unit: ms. */
const READ_WAIT_MS = 2000;

const ROWS = 10_000;

/** What pageserver.json says, as far as it is looked at here. */
interface Configuration {
  readonly safekeepers: readonly {
    readonly id: number;
    readonly host: string;
    readonly port: number;
    readonly httpPort: number;
  }[];
  readonly remoteStorage: { readonly location: string; readonly generation: number };
}

/** A pageserver process besides the repository's own. */
class OtherPageserver {
  readonly #directory: string;
  readonly #port: number;
  readonly #httpPort: number;
  readonly #links: readonly TcpProxy[];

  private constructor(directory: string, port: number, httpPort: number, links: readonly TcpProxy[]) {
    this.#directory = directory;
    this.#port = port;
    this.#httpPort = httpPort;
    this.#links = links;
  }

  /** Starts one on a data directory, as the configuration says but on ports of its own, and with links to the safekeepers that can be cut. */
  static async start(directory: string, given: Configuration): Promise<OtherPageserver> {
    const base = await freePorts(2);
    const links: TcpProxy[] = [];
    const linkTo = async (port: number): Promise<number> => {
      const link = await TcpProxy.to(port);
      links.push(link);
      return link.port;
    };
    const safekeepers = [];
    for (const one of given.safekeepers)
      safekeepers.push({ ...one, port: await linkTo(one.port), httpPort: await linkTo(one.httpPort) });
    const configuration = {
      ...given,
      listen: { host: '127.0.0.1', port: base },
      http: { host: '127.0.0.1', port: base + 1 },
      safekeepers,
      waitTimeoutMs: READ_WAIT_MS,
      // All history may go.
      history: { timeMs: 0, bytes: 0 },
    };
    writeFileSync(join(directory, 'pageserver.json'), JSON.stringify(configuration));
    const main = serviceEntryPoint('pageserver');
    const logFile = join(directory, 'log');
    await launchService({
      what: 'the other pageserver',
      main,
      dataDir: directory,
      logFile,
      readyTimeoutMs: PATIENCE.timeout,
    });
    return new OtherPageserver(directory, base, base + 1, links);
  }

  /** How its links to the safekeepers are. */
  set links(state: 'open' | 'refused') {
    for (const link of this.#links) link.state = state;
  }

  /** The messages of its log. */
  get messages(): readonly string[] {
    const lines = readFileSync(join(this.#directory, 'log'), 'utf8').trimEnd().split('\n');
    return lines.filter((line) => /^\{.*\}$/.test(line)).map((line) => (JSON.parse(line) as { msg: string }).msg);
  }

  /** The branch, as it has it. */
  timeline(zenith: Zenith): Promise<TimelineJson> {
    return this.ask(zenith, ':');
  }

  /** What it counts. */
  metric(name: string): Promise<number> {
    return metricAt(this.#httpPort, name);
  }

  /** Asks its HTTP API. @param path below the branch's timeline, or the timelines of the tenant */
  async ask<T>(zenith: Zenith, path: string, body?: object): Promise<T> {
    const { tenant, timeline } = await zenith.branch('main');
    const url = `http://127.0.0.1:${this.#httpPort}/v1/tenant/${tenant}/timeline${path.replace(/^:/, `/${timeline}`)}`;
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, body === undefined ? {} : { method: 'POST', headers, body: JSON.stringify(body) });
    if (answer.status !== 200) throw new Error(`${path}: ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** A block of a relation, as it has it at an LSN. */
  page(zenith: Zenith, relation: PageRelation, block: number, lsn: Lsn): Promise<Uint8Array> {
    return pageAt(zenith, this.#port, relation, block, lsn);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    await killAndWait(
      Number.parseInt(/\d+/.exec(readFileSync(join(this.#directory, 'pageserver.pid'), 'utf8'))?.[0] ?? '', 10),
    );
    for (const link of this.#links) await link.close();
  }
}

/** A block of a relation of the branch's, as a pageserver has it at an LSN. */
async function pageAt(
  zenith: Zenith,
  port: number,
  relation: PageRelation,
  block: number,
  lsn: Lsn,
): Promise<Uint8Array> {
  const { tenant, timeline } = await zenith.branch('main');
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
  const client = await PageClient.connect({ address, tenant, timeline, timeoutMs: PATIENCE.timeout });
  try {
    return await client.getPages(relation, block, 1, lsn);
  } finally {
    client.close();
  }
}

/** Changes every row of the table. */
async function changeRows(zenith: Zenith, to: string): Promise<void> {
  await zenith.query('main', `update t set text = md5(id::text || '${to}')`);
}

/** The table is as {@link changeRows} has left it. */
async function expectRows(zenith: Zenith, to: string): Promise<void> {
  const sums = `select count(*)::int as count, sum(hashtext(text))::text as sum from`;
  expect(await zenith.query('main', `${sums} t`)).toEqual(
    await zenith.query(
      'main',
      `${sums} (select md5(id::text || '${to}') as text from generate_series(1, ${ROWS}) id) as t`,
    ),
  );
}

/** All keys, and of the timeline the newest index. */
async function objectsOf(
  storage: RemoteStorage,
): Promise<{ readonly keys: readonly string[]; readonly newest: string }> {
  const keys: string[] = [];
  for (let after: string | undefined, isLast = false; !isLast;) {
    const page = await storage.list('', { after });
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
    isLast = after === undefined;
  }
  return { keys, newest: keys.findLast((key) => key.startsWith('indexes/')) ?? '' };
}

const generationOf = (key: string): number =>
  Number.parseInt(/(?:indexes\/\w+\/\w+\/(\w{8})-|([0-9a-f]{8})$)/.exec(key)?.slice(1).find(Boolean) ?? '', 16);

/** Gives the repository's own pageserver a disk with nothing on it. It makes nothing durable unless it is asked to, so that what happens to objects is the older one's doing. */
function emptyDisk(directory: string): void {
  mkdirSync(directory);
  const dayMs = 24 * 3600 * 1000;
  writeFileSync(join(directory, 'pageserver.json'), JSON.stringify({ flushIntervalMs: dayMs, gcIntervalMs: dayMs }));
}

/**
 * Two pageserver processes on one repository's remote storage, both at work: the older one, which was the repository's own, goes on taking in WAL, flushing, merging and dropping history. It can neither make an index of its
 * count, nor remove an object, nor answer for WAL that it does not have; it says that it is superseded; and the younger one has everything, also after its disk is lost under the older one's eyes.
 * @param storage the repository's
 */
export async function rivalPageservers(zenith: Zenith, storage: RemoteStorage): Promise<void> {
  const own = join(zenith.repository, 'pageserver');
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query(
    'main',
    `create table t as select i as id, md5(i::text) as text from generate_series(1, ${ROWS}) i`,
  );
  await settleBranch(zenith, 'main');
  await changeRows(zenith, 'first');
  await settleBranch(zenith, 'main');
  // The process goes on beside the repository, with its data and its generation.
  await zenith.kill('pageserver');
  const elsewhere = join(zenith.directory, 'older');
  renameSync(own, elsewhere);
  const configuration = JSON.parse(readFileSync(join(elsewhere, 'pageserver.json'), 'utf8')) as Configuration;
  const older = await OtherPageserver.start(elsewhere, configuration);
  try {
    await expect.poll(async () => (await older.timeline(zenith)).uploads, PATIENCE).toBe('idle');
    const { generation } = configuration.remoteStorage;
    const owned = { generation, durable: (await older.timeline(zenith)).remoteConsistentLsn };

    emptyDisk(own);
    await zenith.run('start');
    await changeRows(zenith, 'second');
    await settleBranch(zenith, 'main');
    expect(generationOf((await objectsOf(storage)).newest)).toBe(generation + 1);
    // Of what it had uploaded, too.
    expect(await worksInVain(zenith, storage, older, owned)).toBeGreaterThan(0);
    await answersForNothingItHasNot(zenith, older);
    await twinIsTurnedAway(zenith, storage, { ...configuration, generation: generation + 1 });

    older.links = 'open';
    await settleBranch(zenith, 'main');
    await zenith.kill('pageserver');
    await zenith.run('pg', 'stop', 'main', '--destroy');
    rmSync(own, { recursive: true });
    emptyDisk(own);
    await zenith.run('start');
    await zenith.startPostgres('main');
    await expectRows(zenith, 'third');
    await settleBranch(zenith, 'main');
    await worksInVain(zenith, storage, older, owned);
    await expectRows(zenith, 'third');
  } finally {
    await older.kill();
  }
}

/** Whatever the older one does, it reaches nothing that counts, and it says so. @param owned what it had when it was the only one @returns how many layers it has dropped on its own disk */
async function worksInVain(
  zenith: Zenith,
  storage: RemoteStorage,
  older: OtherPageserver,
  owned: { readonly generation: number; readonly durable: string },
): Promise<number> {
  const before = await objectsOf(storage);
  const lsn = formatLsn((await zenith.branch('main')).commitLsn);
  await older.ask(zenith, ':/wait', { lsn, timeoutMs: PATIENCE.timeout });
  await older.ask(zenith, ':/checkpoint', {});
  const { removedLayers } = await older.ask<{ removedLayers: number }>(zenith, ':/gc', {});
  await expect.poll(async () => (await older.timeline(zenith)).uploads, PATIENCE).toBe('superseded');
  const { remoteConsistentLsn, uploadError } = await older.timeline(zenith);
  expect(remoteConsistentLsn).toBe(owned.durable);
  expect(uploadError).toContain(`generation ${owned.generation} is not the newest`);
  expect(older.messages).toContain('nothing more of this timeline is uploaded');
  expect(await older.metric('zenith_pageserver_remote_superseded_timelines')).toBe(1);
  expect(await older.metric('zenith_pageserver_remote_deleted_objects_total')).toBe(0);
  const after = await objectsOf(storage);
  expect(after.newest).toBe(before.newest);
  expect(before.keys.filter((key) => !after.keys.includes(key))).toEqual([]);
  const added = after.keys.filter((key) => !before.keys.includes(key));
  expect(added.filter((key) => generationOf(key) !== owned.generation)).toEqual([]);
  const report = await scrub(storage, { readLayers: true, deleteOrphans: false });
  expect(report).toMatchObject({ timelines: 1, missing: [], corrupt: [], foreign: [] });
  const orphans = report.orphans.map(({ key, removable }) => [key, generationOf(key), removable]);
  expect(orphans).toEqual(report.orphans.map(({ key }) => [key, owned.generation, true]));
  return removedLayers;
}

/** A page at an LSN whose WAL the older one did not get is not answered with what it has; what it has is right. It is cut off from then on. */
async function answersForNothingItHasNot(zenith: Zenith, older: OtherPageserver): Promise<void> {
  // Changing a row changes the block that it was in.
  const [row] = await zenith.query<{ db: number; rel: number; block: number }>(
    'main',
    "select oid::int8::int as db, pg_relation_filenode('t')::int8::int as rel, (select (ctid::text::point)[0]::int from t where id = 1) as block from pg_database where datname = current_database()",
  );
  const block = row?.block ?? 0;
  const relation = { spc: 1663, db: row?.db ?? 0, rel: row?.rel ?? 0, fork: 0 };
  const { pageserverPort: port, commitLsn: known } = await zenith.branch('main');
  await older.ask(zenith, ':/wait', { lsn: formatLsn(known), timeoutMs: PATIENCE.timeout });
  older.links = 'refused';
  const before = await pageAt(zenith, port, relation, block, known);
  await changeRows(zenith, 'third');
  const { commitLsn: unknown } = await zenith.branch('main');
  expect(await pageAt(zenith, port, relation, block, unknown)).not.toEqual(before);
  await expect(older.page(zenith, relation, block, unknown)).rejects.toMatchObject({ code: 'lsn-not-available' });
  expect(parseLsn((await older.timeline(zenith)).lastRecordLsn)).toBeLessThan(unknown);
  expect(await older.page(zenith, relation, block, known)).toEqual(before);
}

/** One that has no data and the generation of the one that is at work gets no timeline: its claim is refused. */
async function twinIsTurnedAway(
  zenith: Zenith,
  storage: RemoteStorage,
  { generation, ...configuration }: Configuration & { readonly generation: number },
): Promise<void> {
  const before = await objectsOf(storage);
  const directory = join(zenith.directory, 'twin');
  mkdirSync(directory);
  const { location } = configuration.remoteStorage;
  const twin = await OtherPageserver.start(directory, { ...configuration, remoteStorage: { location, generation } });
  try {
    expect(await twin.ask(zenith, '')).toEqual([]);
    expect(twin.messages).toContain('a timeline could not be restored from remote storage');
    expect(await objectsOf(storage)).toEqual(before);
  } finally {
    await twin.kill();
  }
}
