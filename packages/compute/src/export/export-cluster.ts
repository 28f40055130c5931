import { chownSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tokens } from '@zenith/auth';
import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import {
  BLCKSZ,
  decodeControlFile,
  DEFAULT_WAL_SEGMENT_SIZE,
  RELSEG_SIZE,
  relationPath,
  type PgMajor,
} from '@zenith/pg-format';
import { PageClient, PAGES_PER_REQUEST_MAX, type PageRelation } from '@zenith/wire';
import { buildDataDirectory } from '../data-directory/builder.ts';
import type { Owner } from '../data-directory/layout.ts';
import { SnapshotClient } from '../data-directory/snapshot-client.ts';
import { ComputeError } from '../errors.ts';
import { readPresenceMap, type PresenceSegment } from '../presence-map/reader.ts';
import { stockPgHbaConf, stockPostgresqlConf, type StandbySource } from './stock-configuration.ts';
import { syncTree } from './sync-tree.ts';

/** Requests for pages under way at once: one is rebuilt while others travel and are written. */
const REQUESTS_AT_ONCE = 4;

/** Bound on each answer of the pageserver. Unit: milliseconds. */
const TIMEOUT_MS = 60_000;

/** Which cluster to copy, and where to. */
export interface ExportOptions {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly systemId: SystemId;
  readonly major: PgMajor;
  /** The pageserver has ingested it, and keeps it readable. For a standby the WAL has a compute's first checkpoint there. */
  readonly lsn: Lsn;
  /** Absolute path of the data directory; nothing may be there yet. Tablespaces come beside it, in `<directory>.tablespaces`. */
  readonly directory: string;
  readonly owner: Owner;
  readonly pageserver: { readonly host: string; readonly port: number; readonly httpPort: number };
  readonly tokens: Tokens;
  /** For comments in the configuration: what this is a copy of. */
  readonly origin: string;
  /** Left out: the copy goes its own way. */
  readonly standby?: StandbySource | undefined;
  readonly onProgress: (copied: number, blocks: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** Unit: milliseconds since 1970. */
  readonly nowMs: number;
}

/** What was copied. */
export interface Exported {
  readonly files: number;
  /** Unit: blocks of 8 KiB. */
  readonly blocks: number;
}

/**
 * Makes a data directory that a stock PostgreSQL of the same major version runs by itself: a cluster that was shut down cleanly at an LSN, or one that follows a safekeeper as a standby from there on. Every page is in its files, and all of it is
 * durable when this returns. What it leaves behind when it fails is for the caller to remove: the directory, `.tablespaces` and `.presence` beside it.
 * @throws ComputeError `pageserver-unavailable`, `snapshot-mismatch`, `interrupted`; PageError; CorruptionError
 */
export async function exportCluster(options: ExportOptions): Promise<Exported> {
  const { tenant, timeline, lsn, directory, pageserver, tokens } = options;
  const { host, port, httpPort } = pageserver;
  const address = { kind: 'tcp', host, port } as const;
  const snapshots = new SnapshotClient({ host, port: httpPort, tenant, timeline, tokens });
  const pages = await PageClient.connect({
    address,
    tenant,
    timeline,
    token: tokens.token(timeline),
    trust: tokens.trust,
    timeoutMs: TIMEOUT_MS,
  });
  const presenceMap = `${directory}.presence`;
  const tablespaces = `${directory}.tablespaces`;
  try {
    const readPages = (relation: PageRelation, block: number, count: number): Promise<Uint8Array> =>
      pages.getPages(relation, block, count, lsn);
    const { files, blocks } = await buildDataDirectory({
      ...options,
      startLsn: lsn,
      segmentSize: DEFAULT_WAL_SEGMENT_SIZE,
      pgdata: directory,
      tablespaces,
      presenceMap,
      server: { host: '127.0.0.1', port: 0, settings: {} },
      snapshot: snapshots.snapshot(lsn, TIMEOUT_MS),
      tail: Promise.resolve(undefined),
      pageServer: address,
      readPages,
    });
    const segments = [...readPresenceMap(presenceMap).segments()];
    rmSync(presenceMap);
    await fetchPages(segments, readPages, options);
    configure(options);
    if (readdirSync(tablespaces).length === 0) rmdirSync(tablespaces);
    else await syncTree(tablespaces);
    await syncTree(directory);
    return { files, blocks };
  } finally {
    pages.close();
    snapshots.close();
  }
}

/** Puts every block that a compute would ask for when it needs it into its file. */
async function fetchPages(
  segments: readonly PresenceSegment[],
  readPages: (relation: PageRelation, block: number, count: number) => Promise<Uint8Array>,
  { directory, major, onProgress, signal }: ExportOptions,
): Promise<void> {
  const total = segments.reduce((sum, { blocks }) => sum + blocks, 0);
  let copied = 0;
  onProgress(0, total);
  for (const segment of segments) {
    const file = await open(join(directory, relationPath(major, segment)), 'r+');
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < segment.blocks) {
        if (signal?.aborted === true) throw new ComputeError('interrupted', 'interrupted');
        const block = next;
        const count = Math.min(PAGES_PER_REQUEST_MAX, segment.blocks - block);
        next += count;
        const bytes = await readPages(segment, segment.segment * RELSEG_SIZE + block, count);
        await file.write(bytes, 0, bytes.length, block * BLCKSZ);
        copied += count;
        onProgress(copied, total);
      }
    };
    try {
      const results = await Promise.allSettled(Array.from({ length: REQUESTS_AT_ONCE }, work));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    } finally {
      await file.close();
    }
  }
}

/** Replaces what a compute is configured with. A standby gets even its first checkpoint from where it follows. */
function configure({ directory, owner, origin, standby }: ExportOptions): void {
  const control = decodeControlFile(readFileSync(join(directory, 'global/pg_control')));
  const overwrite = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  overwrite('postgresql.conf', stockPostgresqlConf(origin, control, standby));
  overwrite('postgresql.auto.conf', '');
  overwrite('pg_hba.conf', stockPgHbaConf());
  if (standby === undefined) return;
  overwrite('standby.signal', '');
  if (owner !== undefined) chownSync(join(directory, 'standby.signal'), owner.uid, owner.gid);
  const wal = join(directory, 'pg_wal');
  for (const name of readdirSync(wal)) if (/^[0-9A-F]{24}$/.test(name)) rmSync(join(wal, name));
}
