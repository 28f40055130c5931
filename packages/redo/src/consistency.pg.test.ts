import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SAMPLED_MAJORS, StockPostgres, temporaryDirectory, type StockPostgresOptions } from '@zenith/testing';
import { describe, expect, it } from 'vitest';
import { PRUNING } from './heap/pruning-variants.test-support.ts';
import { WalReplay, copyDataDirectory, count, type Counts } from './oracle.test-support.ts';
import { SlruReplay } from './slru.test-support.ts';
import { allVariants, variants } from './variants.test-support.ts';
import { runShortWorkload, runWorkload } from './workload.test-support.ts';

/** Records whose every block is compared with the server's image; the workload must make the server write each of them. */
const COMPARED = [
  'HEAP/INSERT',
  'HEAP/INSERT+INIT',
  'HEAP/DELETE',
  'HEAP/UPDATE',
  'HEAP/UPDATE+INIT',
  'HEAP/HOT_UPDATE',
  'HEAP/CONFIRM',
  'HEAP/LOCK',
  'HEAP/INPLACE',
  'HEAP2/VISIBLE',
  'HEAP2/MULTI_INSERT',
  'HEAP2/MULTI_INSERT+INIT',
  'HEAP2/LOCK_UPDATED',
  'BTREE/INSERT_LEAF',
  'BTREE/INSERT_UPPER',
  'BTREE/SPLIT_L',
  'BTREE/SPLIT_R',
  'BTREE/INSERT_POST',
  'BTREE/DEDUP',
  'BTREE/DELETE',
  'BTREE/VACUUM',
  'BTREE/NEWROOT',
  'BTREE/MARK_PAGE_HALFDEAD',
  'BTREE/UNLINK_PAGE',
  'BTREE/UNLINK_PAGE_META',
  'BTREE/INSERT_META',
  'BTREE/META_CLEANUP',
  'SEQUENCE/LOG',
  'GENERIC/GENERIC',
  'GIN/CREATE_PTREE',
  'GIN/INSERT',
  'GIN/SPLIT',
  'GIN/DELETE_PAGE',
  'GIN/UPDATE_META_PAGE',
  'GIN/INSERT_LISTPAGE',
  'GIN/DELETE_LISTPAGE',
  'GIN/VACUUM_DATA_LEAF_PAGE',
  'BRIN/CREATE_INDEX',
  'BRIN/INSERT',
  'BRIN/INSERT+INIT',
  'BRIN/UPDATE',
  'BRIN/UPDATE+INIT',
  'BRIN/SAMEPAGE_UPDATE',
  'BRIN/REVMAP_EXTEND',
  'BRIN/DESUMMARIZE',
  'GIST/PAGE_UPDATE',
  'GIST/DELETE',
  'GIST/PAGE_SPLIT',
  'GIST/PAGE_DELETE',
  'SPGIST/ADD_LEAF',
  'SPGIST/MOVE_LEAFS',
  'SPGIST/ADD_NODE',
  'SPGIST/SPLIT_TUPLE',
  'SPGIST/PICKSPLIT',
  'SPGIST/VACUUM_LEAF',
  'SPGIST/VACUUM_ROOT',
  'SPGIST/VACUUM_REDIRECT',
  'HASH/INIT_META_PAGE',
  'HASH/INIT_BITMAP_PAGE',
  'HASH/INSERT',
  'HASH/ADD_OVFL_PAGE',
  'HASH/SPLIT_ALLOCATE_PAGE',
  'HASH/SPLIT_COMPLETE',
  'HASH/MOVE_PAGE_CONTENTS',
  'HASH/SQUEEZE_PAGE',
  'HASH/DELETE',
  'HASH/SPLIT_CLEANUP',
  'HASH/UPDATE_META_PAGE',
  'HASH/VACUUM_ONE_PAGE',
];

const SETTINGS = {
  wal_consistency_checking: 'all',
  full_page_writes: 'off',
  autovacuum: 'off',
  wal_level: 'replica',
  max_wal_size: '8GB',
  wal_keep_size: '4GB',
  checkpoint_timeout: '1h',
  wal_recycle: 'off',
  shared_buffers: '64MB',
  track_commit_timestamp: 'on',
  max_prepared_transactions: '4',
};

interface Outcome {
  readonly replay: WalReplay;
  readonly forms: Counts;
  readonly slruDifferences: readonly string[];
  readonly slrus: readonly string[];
  readonly pages: { readonly main: number; readonly visibilityMap: number };
}

/** Runs a workload on a new server, stops it and replays all its WAL over a copy of its data directory as initdb left it. */
async function replayWorkload(
  options: StockPostgresOptions,
  workload: (server: StockPostgres) => Promise<void>,
): Promise<Outcome> {
  const directory = temporaryDirectory('zenith-redo-');
  const server = StockPostgres.create(options);
  try {
    const base = join(directory.path, 'base');
    mkdirSync(base);
    copyDataDirectory(server.dataDirectory, base);
    await server.start();
    await workload(server);
    await server.stop();

    const replay = new WalReplay(options.major, base);
    const slrus = new SlruReplay(options.major, base);
    const forms: Counts = new Map();
    replay.replay(server.dataDirectory, (record) => {
      slrus.apply(record);
      for (const form of variants(options.major, record)) count(forms, form);
    });
    const pages = replay.compareWithFiles(server.dataDirectory);
    return {
      replay,
      forms,
      slruDifferences: slrus.compareWithFiles(server.dataDirectory),
      slrus: [...slrus.applied.keys()].sort(),
      pages,
    };
  } finally {
    await server.remove();
    directory.remove();
  }
}

function table(counts: Counts): string {
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');
}

function sum(counts: Counts): number {
  return [...counts.values()].reduce((a, b) => a + b, 0);
}

describe.each(SAMPLED_MAJORS)('redo of PostgreSQL %d', (major) => {
  it('makes of every block what the server has, for every kind of record', { timeout: 300_000 }, async () => {
    const { replay, forms, pages, slrus, slruDifferences } = await replayWorkload(
      { major, settings: SETTINGS },
      runWorkload,
    );
    console.log(
      `PostgreSQL ${major}: ${sum(replay.compared)} blocks compared with the server's image: ${table(replay.compared)}\nforms: ${table(forms)}\npages at the end: ${pages.main} main, ${pages.visibilityMap} visibility map`,
    );
    expect(replay.failures.slice(0, 20)).toEqual([]);
    expect(slruDifferences).toEqual([]);
    expect([...COMPARED, ...PRUNING[major].records].filter((name) => !replay.compared.has(name))).toEqual([]);
    expect(allVariants(major).filter((form) => !forms.has(form))).toEqual([]);
    expect(slrus).toEqual(['pg_commit_ts', 'pg_multixact/members', 'pg_multixact/offsets', 'pg_xact']);
    expect(pages.main).toBeGreaterThan(500);
    expect(pages.visibilityMap).toBeGreaterThan(5);
    expect(replay.redone.get('operation: visibility map clear')).toBeGreaterThan(10);
    expect(replay.redone.get('operation: visibility map truncate')).toBeGreaterThan(0);
  });

  it('restores full-page images and accepts hint records, with data checksums', { timeout: 300_000 }, async () => {
    const options: StockPostgresOptions = {
      major,
      settings: { ...SETTINGS, full_page_writes: 'on', wal_compression: 'pglz' },
      initdb: ['--data-checksums'],
    };
    const { replay, pages, slruDifferences } = await replayWorkload(options, async (server) => {
      await runShortWorkload(server);
      await server.query('checkpoint');
      await server.query('select count(*) from h, l');
      // Without full-page writes the hint records lose their images.
      await server.query('alter system set full_page_writes = off');
      await server.query('select pg_reload_conf()');
      await server.query('checkpoint');
      await server.query('create table hinted as select i from generate_series(1, 5000) i');
      await server.query('checkpoint');
      await server.query('select count(*) from hinted');
    });
    console.log(`PostgreSQL ${major}, checksums: ${table(replay.redone)}`);
    expect(replay.failures.slice(0, 20)).toEqual([]);
    expect(slruDifferences).toEqual([]);
    expect(pages.main).toBeGreaterThan(100);
    expect(replay.imagesApplied).toBeGreaterThan(50);
    expect(replay.hintsWithoutImage).toBeGreaterThan(5);
  });
});
