import { mkdtempSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newTenantId, newTimelineId } from '@zenith/base';
import { decodeControlFile, type ControlFile, type PgMajor } from '@zenith/pg-format';
import { StockPostgres, chownTree, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import { inspectCluster } from '../import/cluster.ts';
import { importCluster } from '../import/import-cluster.ts';
import type { StorageOptions } from '../timeline/options.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { compareWithDataDirectory, type Comparison, type ComparisonOptions } from './compare.ts';
import { ingestLocalWal } from './local-wal.ts';

/** A stock server whose WAL a timeline follows, and the comparison of both: PostgreSQL itself says what is right. */
export class Oracle {
  readonly server: StockPostgres;
  store: TimelineStore;
  timeline: Timeline;
  readonly storeDirectory: string;
  readonly #options: Partial<StorageOptions>;
  readonly #remove: () => void;

  private constructor(
    server: StockPostgres,
    store: TimelineStore,
    timeline: Timeline,
    storeDirectory: string,
    options: Partial<StorageOptions>,
    remove: () => void,
  ) {
    this.server = server;
    this.store = store;
    this.timeline = timeline;
    this.storeDirectory = storeDirectory;
    this.#options = options;
    this.#remove = remove;
  }

  /** Makes a cluster, imports it and starts its server. */
  static async start(
    major: PgMajor,
    settings: Readonly<Record<string, string>> = {},
    options: Partial<StorageOptions> = {},
    initdb: readonly string[] = [],
  ): Promise<Oracle> {
    const server = StockPostgres.create({
      major,
      initdb,
      settings: {
        wal_level: 'replica',
        wal_keep_size: '20GB',
        max_wal_size: '20GB',
        max_prepared_transactions: '20',
        autovacuum: 'off',
        full_page_writes: 'off',
        shared_buffers: '64MB',
        ...settings,
      },
    });
    const directory = temporaryDirectory('zenith-oracle-');
    const store = TimelineStore.open(directory.path, { options });
    const cluster = inspectCluster(server.dataDirectory);
    const load = store.importTimeline({
      tenant: newTenantId(),
      timeline: newTimelineId(),
      pgMajor: cluster.pgMajor,
      initialLsn: cluster.lsn,
    });
    await importCluster(cluster, load.writer, () => undefined);
    const timeline = await load.finish();
    await server.start();
    return new Oracle(server, store, timeline, directory.path, options, () => directory.remove());
  }

  /** Ingests what the server has written; returns how many records. The server is stopped, or idle with everything flushed. */
  async follow(): Promise<number> {
    return ingestLocalWal(this.timeline, join(this.server.dataDirectory, 'pg_wal'), () => performance.now());
  }

  /** Stops the server, follows it to its end and compares everything. */
  async stopAndCompare(options?: ComparisonOptions): Promise<Comparison> {
    await this.server.stop();
    await this.follow();
    return this.compare(options);
  }

  /** Compares at the end of what was followed. */
  compare(options?: ComparisonOptions): Comparison {
    return compareWithDataDirectory(this.timeline, this.timeline.lastRecordLsn, this.server.dataDirectory, options);
  }

  /** The control file as it is now. */
  controlFile(): ControlFile {
    return decodeControlFile(readFileSync(join(this.server.dataDirectory, 'global/pg_control')));
  }

  /** An empty directory that belongs to the server's OS user, for a tablespace. */
  directoryForServer(): string {
    const directory = mkdtempSync(join(dirname(this.server.dataDirectory), 'place-'));
    chownTree(directory, unprivilegedUser());
    return directory;
  }

  /** Closes the store and opens it again. */
  async reopen(): Promise<void> {
    const { tenant, timeline } = this.timeline;
    await this.store.close();
    this.store = TimelineStore.open(this.storeDirectory, { options: this.#options });
    this.timeline = this.store.get(tenant, timeline);
  }

  /** Stops and removes everything. */
  async remove(): Promise<void> {
    await this.server.remove();
    await this.store.close();
    this.#remove();
  }
}
