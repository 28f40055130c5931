import { INVALID_LSN, lsn as asLsn, newTenantId, newTimelineId, type Lsn, type SystemId } from '@zenith/base';
import {
  DEFAULT_WAL_SEGMENT_SIZE,
  PG_CONTROL_FILE_SIZE,
  RM_HEAP_ID,
  SIZE_OF_CHECK_POINT,
  WalRecord,
  allocatePage,
  decodeCheckPoint,
  decodeRecord,
  encodeCheckPoint,
  encodeRecord,
  type CheckPoint,
  type Page,
  type PgMajor,
  type RecordSpec,
} from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { NO_OBJECT } from '../key-space/object-table.ts';
import { ObjectKind, type SlruKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { PageRedo } from '../timeline/redo.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { Pacer, type PacerLoad } from './pacer.ts';
import { WalApplier } from './wal-applier.ts';
import { WalIngest } from './wal-ingest.ts';

/** Nobody reads, and the storage has room. */
export const NO_LOAD: PacerLoad = { pagesRead: 0, backpressure: () => undefined };

/** Where the WAL of these tests begins. */
export const START = asLsn(0x200_0000);

/** Whose WAL it is. */
export const SYSTEM_ID = '7412345678901234567' as SystemId;

// ControlFileData.  PG 15-18: pg_control.h
const CONTROL_SYSTEM_ID = 0,
  CONTROL_TRACK_COMMIT_TIMESTAMP = 200,
  CONTROL_XLOG_SEG_SIZE = 228;

/** XLOG_HEAP_INSERT | XLOG_HEAP_INIT_PAGE.  PG 15-18: heapam_xlog.h */
const XLOG_HEAP_INSERT_INIT_PAGE = 0x80;

/** Gives an empty timeline counters and a control file: all that ingest needs to begin. */
export function putHead(timeline: Timeline, counters: Partial<CheckPoint> = {}, trackCommitTimestamp = false): void {
  const checkpoint = new Uint8Array(SIZE_OF_CHECK_POINT);
  encodeCheckPoint(timeline.pgMajor, { ...DEFAULT_COUNTERS, ...counters }, new DataView(checkpoint.buffer), 0);
  const control = new Uint8Array(PG_CONTROL_FILE_SIZE);
  const view = new DataView(control.buffer);
  view.setBigUint64(CONTROL_SYSTEM_ID, BigInt(SYSTEM_ID), true);
  view.setUint8(CONTROL_TRACK_COMMIT_TIMESTAMP, trackCommitTimestamp ? 1 : 0);
  view.setUint32(CONTROL_XLOG_SEG_SIZE, DEFAULT_WAL_SEGMENT_SIZE, true);
  const at = asLsn(timeline.lastRecordLsn + 8);
  for (const [kind, bytes] of [
    [ObjectKind.checkpoint, checkpoint],
    [ObjectKind.controlFile, control],
  ] as const)
    timeline.put(timeline.intern(kind, 0, 0, 0, 0), 0, at, ValueKind.image, bytes, 0, bytes.length);
  timeline.advance(at);
}

/** The head of a real timeline, fed with records made by hand. Records are remembered by what redo is asked to do, so that tests see which values a page has. */
export class Head {
  readonly timeline: Timeline;
  readonly store: TimelineStore;
  /** What redo was asked for since it was last emptied: `record <rmid>/<info> block <id>` and `operation <kind>`. */
  readonly redone: string[];
  ingest: WalIngest;
  #lsn: Lsn;
  readonly #remove: () => void;

  private constructor(store: TimelineStore, timeline: Timeline, redone: string[], remove: () => void) {
    this.store = store;
    this.timeline = timeline;
    this.redone = redone;
    this.#lsn = timeline.lastRecordLsn;
    this.#remove = remove;
    this.ingest = this.newIngest();
  }

  /** A timeline that has counters and a control file and nothing else. */
  static async create(
    counters: Partial<CheckPoint> = {},
    options: { readonly major?: PgMajor; readonly trackCommitTimestamp?: boolean; readonly redo?: PageRedo } = {},
  ): Promise<Head> {
    const major = options.major ?? 18;
    const directory = temporaryDirectory();
    const redone: string[] = [];
    const store = TimelineStore.open(directory.path, { redo: options.redo ?? listRedo(redone) });
    const timeline = await store.create({
      tenant: newTenantId(),
      timeline: newTimelineId(),
      pgMajor: major,
      initialLsn: START,
    });
    putHead(timeline, counters, options.trackCommitTimestamp);
    return new Head(store, timeline, redone, () => directory.remove());
  }

  /** Ingests a stream of WAL that goes on where the timeline ends, as it comes from a safekeeper. @param now the clock that cuts it into slices. Unit: ms */
  async stream(wal: Uint8Array, now = (): number => performance.now()): Promise<void> {
    const pacer = new Pacer(now, NO_LOAD);
    await new WalApplier(this.timeline, this.ingest, pacer).apply(wal);
    this.#lsn = this.timeline.lastRecordLsn;
  }

  /** An ingest that knows nothing but what the timeline has, as after a restart of the process. */
  newIngest(): WalIngest {
    return new WalIngest(this.timeline, new Pacer(() => performance.now(), NO_LOAD));
  }

  /** Ingests a record; gives the LSN at its end. */
  async add(spec: RecordSpec): Promise<Lsn> {
    const bytes = encodeRecord(spec, INVALID_LSN);
    const begin = this.#lsn;
    const end = asLsn(begin + Math.ceil(bytes.length / 8) * 8);
    const record = new WalRecord();
    decodeRecord(
      this.timeline.pgMajor,
      bytes,
      new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
      0,
      begin,
      end,
      record,
    );
    await this.ingest.ingest(record);
    this.#lsn = end;
    this.timeline.advance(end);
    return end;
  }

  /** The counters at an LSN, by default the end. */
  counters(lsn: Lsn = this.timeline.lastRecordLsn): CheckPoint {
    const bytes = this.small(ObjectKind.checkpoint, 0, 0, lsn) ?? new Uint8Array(0);
    return decodeCheckPoint(this.timeline.pgMajor, new DataView(bytes.buffer), 0);
  }

  /** Content of a small object. */
  small(kind: ObjectKind, spc: number, db: number, lsn: Lsn = this.timeline.lastRecordLsn): Uint8Array | undefined {
    return this.timeline.readSmall(this.timeline.find(kind, spc, db, 0, 0), lsn);
  }

  /** Size of a relation fork; undefined when it does not exist. */
  size(rel: number, fork = 0, lsn: Lsn = this.timeline.lastRecordLsn): number | undefined {
    return this.timeline.blockCount(this.timeline.find(ObjectKind.relation, 1663, 5, rel, fork), lsn);
  }

  /** Pages of an SLRU segment; undefined when it does not exist. */
  segment(slru: SlruKind, segment: number): number | undefined {
    return this.timeline.blockCount(
      this.timeline.find(ObjectKind.slru, slru, 0, segment, 0),
      this.timeline.lastRecordLsn,
    );
  }

  /** Rebuilds a page and gives what redo was asked to do for it. */
  history(
    kind: typeof ObjectKind.relation | typeof ObjectKind.slru,
    spc: number,
    db: number,
    rel: number,
    fork: number,
    block: number,
  ): string[] {
    this.redone.length = 0;
    const object = this.timeline.find(kind, spc, db, rel, fork);
    if (object === NO_OBJECT) throw new Error('no such object');
    this.timeline.readPage(object, block, this.timeline.lastRecordLsn, allocatePage());
    return [...this.redone];
  }

  /** {@link history} of a block of a relation of database 5. */
  blockHistory(rel: number, block: number, fork = 0): string[] {
    return this.history(ObjectKind.relation, 1663, 5, rel, fork, block);
  }

  async close(): Promise<void> {
    await this.store.close();
    this.#remove();
  }
}

const DEFAULT_COUNTERS: CheckPoint = {
  redo: START,
  pgTimeline: 1,
  previousPgTimeline: 1,
  fullPageWrites: true,
  walLevel: 1,
  nextXid: 1000n,
  nextOid: 20000,
  nextMulti: 1,
  nextMultiOffset: 0,
  oldestXid: 731,
  oldestXidDb: 1,
  oldestMulti: 1,
  oldestMultiDb: 1,
  time: 0,
  oldestCommitTsXid: 0,
  newestCommitTsXid: 0,
  oldestActiveXid: 0,
};

function listRedo(redone: string[]): PageRedo {
  const record = new WalRecord();
  return {
    applyRecord(major, bytes, view, offset, _length, lsn, _page: Page) {
      decodeRecord(major, bytes, view, offset + 1, INVALID_LSN, lsn, record);
      redone.push(`record ${record.rmid}/${record.info.toString(16)} block ${bytes[offset]}`);
    },
    applyOperation(bytes, _view, offset, length) {
      redone.push(`operation ${Buffer.from(bytes.subarray(offset, offset + length)).toString('hex')}`);
    },
  };
}

/** Main data from little-endian parts: `u8`, `u16`, `u32`, `u64` by size, or bytes as they are. */
export function data(...parts: readonly (readonly [size: 1 | 2 | 4 | 8, value: number] | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (part instanceof Uint8Array) return part;
      const [size, value] = part;
      const bytes = Buffer.alloc(size);
      if (size === 8) bytes.writeBigUInt64LE(BigInt(value));
      else bytes.writeUIntLE(value, 0, size);
      return bytes;
    }),
  );
}

/** A reference to a block of a relation of database 5 that the record makes anew. */
export function referenceTo(rel: number, block: number): NonNullable<RecordSpec['blocks']>[number] {
  const tuple = data([2, 1], [2, 0x0802], [1, 24], [1, 0], [4, 7]);
  return { id: 0, spc: 1663, db: 5, rel, fork: 0, block, willInit: true, data: tuple };
}

/** The insertion of the first tuple of a block of relation 16384. */
export function heapRecord(block: number): RecordSpec {
  return {
    rmid: RM_HEAP_ID,
    info: XLOG_HEAP_INSERT_INIT_PAGE,
    xid: 1000,
    mainData: data([2, 1], [1, 0]),
    blocks: [referenceTo(16384, block)],
  };
}
