import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  RELMAPPER_FILENAME,
  XactRecord,
  decodeRelationMap,
  pageChecksum,
  pageIsNew,
  parseTwoPhaseFile,
  storedPageChecksum,
  type Page,
} from '@zenith/pg-format';
import { encodeTablespace } from '../ingest/tablespace-location.ts';
import { ObjectKind } from '../key-space/object.ts';
import { decodeOriginFile, encodeOriginValue } from '../snapshot/origin-file.ts';
import type { Cluster } from './cluster.ts';
import {
  listDatabases,
  listForks,
  listSlruFiles,
  listTablespaces,
  listTwoPhaseFiles,
  type DatabaseDirectory,
} from './cluster-files.ts';

/** Files are read in pieces of this size. Unit: bytes. */
const READ_BYTES = 128 * BLCKSZ;

/** Takes the content of every key of the new timeline; bytes are copied. */
export interface ImportSink {
  put(
    kind: ObjectKind,
    spc: number,
    db: number,
    rel: number,
    fork: number,
    block: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** What to wait for before more is put. */
  backpressure(): Promise<void> | undefined;
}

/** How far an import is. */
export interface ImportProgress {
  /** Pages put so far. */
  readonly pages: number;
  /** Pages there are, SLRUs included. */
  readonly totalPages: number;
}

/**
 * Puts everything of a cluster into `sink`, in key order.
 * @throws CorruptionError for a file that is not what it must be
 */
export async function importCluster(
  cluster: Cluster,
  sink: ImportSink,
  onProgress: (progress: ImportProgress) => void,
): Promise<void> {
  await new ClusterImport(cluster, sink, onProgress).run();
}

class ClusterImport {
  readonly #cluster: Cluster;
  readonly #sink: ImportSink;
  readonly #onProgress: (progress: ImportProgress) => void;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #pages = 0;
  #totalPages = 0;

  constructor(cluster: Cluster, sink: ImportSink, onProgress: (progress: ImportProgress) => void) {
    this.#cluster = cluster;
    this.#sink = sink;
    this.#onProgress = onProgress;
  }

  async run(): Promise<void> {
    const { path: root, pgMajor } = this.#cluster;
    const databases = listDatabases(root, pgMajor);
    const forks = databases.flatMap((database) => listForks(root, pgMajor, database));
    const slruFiles = listSlruFiles(root);
    this.#totalPages =
      forks.reduce((sum, { blocks }) => sum + blocks, 0) + slruFiles.reduce((sum, { pages }) => sum + pages, 0);
    for (const { spc, db, rel, fork, segments } of forks)
      await this.#putPages(segments, ObjectKind.relation, spc, db, rel, fork);
    for (const { spc, db, rel, fork, blocks } of forks)
      this.#putSize(ObjectKind.relationSize, spc, db, rel, fork, blocks);
    for (const { slru, segment, path } of slruFiles) await this.#putPages([path], ObjectKind.slru, slru, 0, segment, 0);
    for (const { slru, segment, pages } of slruFiles) this.#putSize(ObjectKind.slruSize, slru, 0, segment, 0, pages);
    this.#putDatabases(databases);
    for (const { oid, location } of listTablespaces(root))
      this.#putSmall(ObjectKind.tablespace, oid, 0, encodeTablespace(new TextEncoder().encode(location)));
    this.#putTwoPhase();
    this.#putSmall(ObjectKind.checkpoint, 0, 0, this.#cluster.checkpoint);
    this.#putSmall(ObjectKind.controlFile, 0, 0, this.#cluster.controlFile);
    this.#putOrigins();
    await this.#sink.backpressure();
  }

  /** Puts the pages of the segment files of one object, one after the other. */
  async #putPages(
    segments: readonly string[],
    kind: ObjectKind,
    spc: number,
    db: number,
    rel: number,
    fork: number,
  ): Promise<void> {
    let block = 0;
    for (const segment of segments) {
      const file = join(this.#cluster.path, segment);
      const fd = openSync(file, 'r');
      try {
        for (let length = readSync(fd, this.#buffer); length > 0; length = readSync(fd, this.#buffer)) {
          if (length % BLCKSZ !== 0) throw new CorruptionError('the file changed while it was read', { source: file });
          for (let offset = 0; offset < length; offset += BLCKSZ, block++) {
            if (kind === ObjectKind.relation && this.#cluster.dataChecksums) this.#verify(offset, block, file);
            this.#sink.put(kind, spc, db, rel, fork, block, this.#buffer, offset, BLCKSZ);
          }
          this.#pages += length / BLCKSZ;
          await this.#sink.backpressure();
        }
      } finally {
        closeSync(fd);
      }
    }
    this.#onProgress({ pages: this.#pages, totalPages: this.#totalPages });
  }

  /** Holds that a page of the buffer carries the checksum it must: what comes from here on is trusted. */
  #verify(offset: number, block: number, file: string): void {
    const page: Page = {
      bytes: this.#buffer.subarray(offset, offset + BLCKSZ),
      view: new DataView(this.#buffer.buffer, this.#buffer.byteOffset + offset, BLCKSZ),
    };
    if (pageIsNew(page)) return;
    const expected = pageChecksum(page, block);
    const stored = storedPageChecksum(page);
    if (stored !== expected)
      throw new CorruptionError(
        `block ${block} of its fork carries the checksum ${stored}, its content has ${expected}`,
        {
          source: file,
        },
      );
  }

  #putSize(kind: ObjectKind, spc: number, db: number, rel: number, fork: number, size: number): void {
    const value = new Uint8Array(4);
    new DataView(value.buffer).setUint32(0, size, true);
    this.#sink.put(kind, spc, db, rel, fork, 0, value, 0, value.length);
  }

  #putSmall(kind: ObjectKind, spc: number, db: number, bytes: Uint8Array): void {
    this.#sink.put(kind, spc, db, 0, 0, 0, bytes, 0, bytes.length);
  }

  #putDatabases(databases: readonly DatabaseDirectory[]): void {
    const { path: root, pgMajor } = this.#cluster;
    for (const { spc, db, path } of databases) {
      const file = join(root, path, RELMAPPER_FILENAME);
      if (!existsSync(file)) continue; // only a database's default tablespace has one
      const map = readFileSync(file);
      try {
        decodeRelationMap(pgMajor, map);
      } catch (cause) {
        throw new CorruptionError((cause as Error).message, { source: file }, { cause });
      }
      this.#putSmall(ObjectKind.relationMap, spc, db, map);
    }
    for (const { spc, db, path } of databases) {
      const file = join(root, path, 'PG_VERSION');
      if (db !== 0 && existsSync(file)) this.#putSmall(ObjectKind.database, spc, db, readFileSync(file)); // a database's directory in a tablespace that is not its own has none
    }
  }

  #putTwoPhase(): void {
    const { path: root, pgMajor } = this.#cluster;
    const scratch = new XactRecord();
    for (const { xid, path } of listTwoPhaseFiles(root, pgMajor)) {
      const file = readFileSync(join(root, path));
      parseTwoPhaseFile(pgMajor, file, scratch);
      this.#putSmall(ObjectKind.twoPhase, Number(xid >> 32n), Number(xid & 0xffff_ffffn), file);
    }
  }

  #putOrigins(): void {
    const file = join(this.#cluster.path, 'pg_logical', 'replorigin_checkpoint');
    if (!existsSync(file)) return;
    for (const { origin, remoteLsn } of decodeOriginFile(readFileSync(file)))
      this.#putSmall(ObjectKind.replicationOrigin, origin, 0, encodeOriginValue(remoteLsn, this.#cluster.lsn));
  }
}
