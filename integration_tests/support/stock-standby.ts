import { closeSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { formatLsn, type Lsn } from '@zenith/base';
import { readPresenceMap } from '@zenith/compute';
import { BLCKSZ, RELSEG_SIZE, relationPath, type PgMajor } from '@zenith/pg-format';
import { chownTree, StockPostgres, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import { decodeSnapshot, PAGES_PER_REQUEST_MAX, PageClient, type PageRelation, type SnapshotPart } from '@zenith/wire';
import { buildDataDirectory } from '../../packages/compute/src/data-directory/builder.ts';
import type { Zenith } from './zenith.ts';

const SEGMENT_SIZE = 16 * 1024 * 1024;

/** Bound on each answer of the page service. Unit: ms. */
const TIMEOUT_MS = 60_000;

/** A stock PostgreSQL that follows a safekeeper once it is started. */
export interface StockStandby {
  readonly server: StockPostgres;
  /** Stops it and removes its directory. */
  remove(): Promise<void>;
}

/**
 * Builds a standby from the snapshot of a branch at `startLsn`. It needs nothing of Zenith's but WAL: all its pages are in its files, and it follows the branch's first safekeeper.
 * @param startLsn where a compute of the branch has started: the WAL has a checkpoint there
 */
export async function buildStockStandby(zenith: Zenith, branch: string, startLsn: Lsn): Promise<StockStandby> {
  const { path, remove } = temporaryDirectory('zenith-standby-');
  const pgdata = join(path, 'pgdata');
  const { tenant, timeline, safekeeperPort } = await zenith.branch(branch);
  const major = await buildFromSnapshot(zenith, branch, startLsn, path, {
    primary_conninfo: `host=127.0.0.1 port=${safekeeperPort} user=standby options='-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}'`,
    wal_retrieve_retry_interval: '200ms',
  });
  writeFileSync(join(pgdata, 'standby.signal'), '');
  // A compute makes its first checkpoint itself; here it comes from the safekeeper, too.
  const wal = join(pgdata, 'pg_wal');
  for (const name of readdirSync(wal).filter((one) => /^[0-9A-F]{24}$/.test(one))) rmSync(join(wal, name));
  chownTree(path, unprivilegedUser());
  const server = StockPostgres.create({ major, dataDirectory: pgdata, superuser: zenith.user });
  return {
    server,
    remove: async () => {
      await server.stop();
      remove();
    },
  };
}

/** Builds the data directory that a compute begins with, and fetches every page that is missing in it. @returns PostgreSQL's major version */
async function buildFromSnapshot(
  zenith: Zenith,
  branch: string,
  startLsn: Lsn,
  directory: string,
  settings: Readonly<Record<string, string>>,
): Promise<PgMajor> {
  const { tenant, timeline, pageserverPort, pageserverHttpPort } = await zenith.branch(branch);
  const pageServer = { kind: 'tcp', host: '127.0.0.1', port: pageserverPort } as const;
  const client = await PageClient.connect({ address: pageServer, tenant, timeline, timeoutMs: TIMEOUT_MS });
  const readPages = (relation: PageRelation, block: number, count: number): Promise<Uint8Array> =>
    client.getPages(relation, block, count, startLsn);
  try {
    const pgdata = join(directory, 'pgdata');
    const presenceMap = join(directory, 'presence.map');
    const parts = await readSnapshot(
      `http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline/${timeline}/snapshot?lsn=${formatLsn(startLsn)}`,
    );
    const [first] = parts;
    if (first?.kind !== 'manifest') throw new Error('the snapshot does not begin with its manifest');
    const { pgMajor: major, systemId } = first.manifest;
    await buildDataDirectory({
      tenant,
      timeline,
      systemId,
      major,
      startLsn,
      segmentSize: SEGMENT_SIZE,
      pgdata,
      tablespaces: join(directory, 'tablespaces'),
      presenceMap,
      owner: undefined,
      server: { host: '127.0.0.1', port: 0, settings },
      snapshot: Readable.from(parts),
      tail: Promise.resolve(undefined),
      pageServer,
      readPages,
      nowMs: Date.now(),
    });
    for (const segment of readPresenceMap(presenceMap).segments()) {
      const file = openSync(join(pgdata, relationPath(major, segment)), 'r+');
      try {
        for (let block = 0; block < segment.blocks; block += PAGES_PER_REQUEST_MAX) {
          const count = Math.min(PAGES_PER_REQUEST_MAX, segment.blocks - block);
          const pages = await readPages(segment, segment.segment * RELSEG_SIZE + block, count);
          writeSync(file, pages, 0, pages.length, block * BLCKSZ);
        }
      } finally {
        closeSync(file);
      }
    }
    return major;
  } finally {
    client.close();
  }
}

async function readSnapshot(url: string): Promise<readonly SnapshotPart[]> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`no snapshot: ${await response.text()}`);
  const parts: SnapshotPart[] = [];
  for await (const part of decodeSnapshot(response.body)) parts.push(part);
  return parts;
}
