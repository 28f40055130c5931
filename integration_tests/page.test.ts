import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from './support/zenith.ts';

// `zenith page` against pageinspect, PostgreSQL's own view of its pages.

interface Part {
  readonly name: string;
  readonly fields: Readonly<Record<string, number | string>>;
}
interface PageJson {
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly lsn: string;
  readonly blocks: number;
  readonly page: { readonly kind: string; readonly parts: readonly Part[] };
  readonly history: {
    readonly complete: boolean;
    readonly changes: readonly {
      readonly lsn: string;
      readonly xid: number;
      readonly transaction: string | null;
      readonly commitTime: string | null;
      readonly description: string;
      readonly changes: readonly { readonly part: string; readonly change: string }[] | null;
    }[];
  };
}

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create extension pageinspect');
  await zenith.query('main', 'create table t(id int primary key, v text)');
  await zenith.query('main', "insert into t select g, 'row ' || g % 3 from generate_series(1, 20) g");
  await zenith.query('main', 'create index t_v on t(v)'); // deduplicated: posting lists
  await zenith.query('main', "update t set v = 'changed' where id = 7");
  await zenith.query('main', 'delete from t where id = 9');
});
afterAll(() => zenith.destroy());

function items({ page }: PageJson): Part[] {
  return page.parts.filter(({ name }) => name.startsWith('item '));
}

const hex = (text: string): string => text.replaceAll(' ', '').replace(/^\\x/, '');

test('a heap page is shown as pageinspect shows it', async () => {
  await zenith.query('main', 'checkpoint'); // the server's copy of the page gets no more hint bits that are not in the WAL
  const shown = await zenith.json<PageJson>('page', 'main', 'public.t', '0');
  expect(shown.page.kind).toBe('heap');
  const rows = await zenith.query<Record<string, number | string | null>>(
    'main',
    `select lp, lp_off, lp_len, t_xmin::text::int8::int as xmin, t_xmax::text::int8::int as xmax, t_ctid::text as ctid, t_hoff, encode(t_data, 'hex') as data
       from heap_page_items(get_raw_page('t', 0)) where lp_flags = 1`,
  );
  expect(rows.length).toBe(21);
  const normal = items(shown).filter(({ fields }) => fields['lp'] === 'normal');
  expect(
    normal.map(({ name, fields }) => ({
      lp: Number(name.slice('item '.length)),
      lp_off: fields['at'],
      lp_len: fields['length'],
      xmin: fields['xmin'],
      xmax: fields['xmax'],
      ctid: fields['ctid'],
      t_hoff: fields['hoff'],
      data: fields['data'],
    })),
  ).toEqual(rows);
});

test('a btree page is shown as pageinspect shows it', async () => {
  const shown = await zenith.json<PageJson>('page', 'main', 't_v', '1');
  expect(shown.page.kind).toBe('btree leaf');
  const rows = await zenith.query<{
    itemlen: number;
    ctid: string;
    htid: string | null;
    tids: string | null;
    data: string;
  }>(
    'main',
    "select itemlen::int, ctid::text, htid::text, array_to_string(tids, ' ') as tids, data from bt_page_items('t_v', 1)",
  );
  expect(rows.some(({ tids }) => tids !== null)).toBe(true);
  expect(
    items(shown).map(({ fields }) => ({
      itemlen: fields['length'],
      htid: fields['tid'] ?? String(fields['tids']).split(' ')[0],
    })),
  ).toEqual(rows.map(({ itemlen, htid }) => ({ itemlen, htid })));
  const postings = items(shown).filter(({ fields }) => 'tids' in fields);
  expect(postings.map(({ fields }) => fields['tids'])).toEqual(
    rows.flatMap(({ tids }) => (tids === null ? [] : [tids])),
  );
  const plain = items(shown).find(({ fields }) => 'tid' in fields);
  expect(rows.map(({ data }) => hex(data))).toContain(plain?.fields['key']);
  const [meta] = await zenith.query<{ root: string; level: string }>(
    'main',
    "select root::text, level::text from bt_metap('t_v')",
  );
  const metaPage = await zenith.json<PageJson>('page', 'main', 't_v', '0');
  expect(metaPage.page.parts.find(({ name }) => name === 'meta')?.fields).toMatchObject({
    root: Number(meta?.root),
    level: Number(meta?.level),
  });
});

test('history names the transactions, and a difference between two LSNs is what they did', async () => {
  const before = (await zenith.json<PageJson>('page', 'main', 't', '0')).lsn;
  const [row] = await zenith.query<{ xid: string }>(
    'main',
    "update t set v = 'again' where id = 3 returning txid_current()::text as xid",
  );
  const shown = await zenith.json<PageJson>('page', 'main', 't', '0', '--history');
  const update = shown.history.changes.findLast(({ xid }) => xid === Number(row?.xid));
  expect(update?.description).toMatch(/^HEAP\/(HOT_)?UPDATE .*old off 3/);
  const [clock] = await zenith.query<{ micros: string }>(
    'main',
    'select (extract(epoch from clock_timestamp()) * 1000000)::int8::text as micros',
  );
  expect(update?.transaction).toBe('committed');
  const sinceCommitMs = Number(clock?.micros) / 1000 - Date.parse(update?.commitTime ?? '');
  expect(sinceCommitMs).toBeGreaterThanOrEqual(0);
  expect(sinceCommitMs).toBeLessThan(600_000);
  expect(update?.changes?.map(({ part }) => part)).toContain('item 3');
  expect(shown.history.complete).toBe(false); // 22 inserts, changes, and pruning; 20 are shown
  const all = await zenith.json<PageJson>('page', 'main', 't', '0', '--history', '--limit', '1000');
  expect(all.history.complete).toBe(true);
  expect(all.history.changes.filter(({ description }) => description.startsWith('HEAP/INSERT'))).toHaveLength(20);
  expect(all.history.changes.map(({ changes }) => changes)).not.toContain(null);
  expect(all.history.changes.every(({ xid, commitTime }) => xid === 0 || commitTime !== null)).toBe(true);

  await zenith.query('main', "begin; insert into t values (1000, 'never'); rollback");
  await zenith.query('main', 'create table later()'); // an abort is not waited for, a commit behind it is
  const newest = (await zenith.json<PageJson>('page', 'main', 't', '0', '--history', '--limit', '1')).history.changes;
  expect(newest).toMatchObject([{ transaction: 'aborted', commitTime: null }]);
  expect(newest[0]?.description).toMatch(/^HEAP\/INSERT/);

  const text = await zenith.run('page', 'main', 't', '0', '--diff', before, shown.lsn);
  expect(text).toMatch(new RegExp(String.raw`item 3: .*xmax \d+ → ${row?.xid}`));
  expect(await zenith.run('page', 'main', 't', '0', '--diff', before, before)).toMatch(/\nthe same\n$/);

  // Without a server its place is enough, on a branch too, at any LSN of the parent's.
  const place = `${shown.spc}/${shown.db}/${shown.rel}`;
  await zenith.run('branch', 'b', 'main');
  expect((await zenith.json<PageJson>('page', 'b', place, '0')).page.parts).toEqual(
    (await zenith.json<PageJson>('page', 'main', place, '0')).page.parts,
  );
  const old = await zenith.json<PageJson>('page', 'b', `base/${shown.db}/${shown.rel}`, '0', '--lsn', before);
  expect(items(old)[2]?.fields['ctid']).toBe('(0,3)');
  const text2 = await zenith.run('page', 'b', place, '0', '--history', '--limit', '2');
  expect(text2).toContain('The newest 2 of the changes of its history');
});

test('what there is not is said in one line', async () => {
  for (const [args, message] of [
    [['main', 'nope', '0'], /^zenith: there is no relation nope in the database 'postgres'\n$/],
    [['main', 'pg_catalog.pg_stats', '0'], /^zenith: pg_catalog\.pg_stats has no pages/],
    [['main', 't', '99'], /^zenith: the pageserver: .* does not exist: there are \d+ blocks\n$/],
    [['main', 't', '0', '--lsn', 'FF/0'], /^zenith: FF\/0 lies in the future of the branch/],
    [['main', 't', '0', '--lsn', '0/100040'], /^zenith: the pageserver: LSN 0\/100040 lies below the kept history/],
    [['main', '1663/5/99999', '0', '--history'], /^zenith: the pageserver: the relation does not exist/],
  ] as const) {
    const { code, stdout, stderr } = await zenith.try('page', ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  }
});
