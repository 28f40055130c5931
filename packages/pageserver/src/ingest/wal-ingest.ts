import type { Lsn } from '@zenith/base';
import {
  RM_BTREE_ID,
  RM_CLOG_ID,
  RM_COMMIT_TS_ID,
  RM_DBASE_ID,
  RM_GENERIC_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_LOGICALMSG_ID,
  RM_MULTIXACT_ID,
  RM_RELMAP_ID,
  RM_REPLORIGIN_ID,
  RM_SEQ_ID,
  RM_SMGR_ID,
  RM_STANDBY_ID,
  RM_TBLSPC_ID,
  RM_XACT_ID,
  RM_XLOG_ID,
  SIZE_OF_CHECK_POINT,
  XLR_MAX_BLOCK_ID,
  XactRecord,
  formatOf,
  type WalRecord,
} from '@zenith/pg-format';
import { VisibilityMapClears, knowsRecord } from '@zenith/redo';
import { PageserverError } from '../errors.ts';
import type { ObjectId } from '../key-space/object-table.ts';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { ingestClog } from './clog.ts';
import { ingestCommitTs } from './commit-ts.ts';
import { ScratchBuffer, type IngestContext, type RecordHandler } from './context.ts';
import { ClusterCounters } from './counters.ts';
import { ingestDatabase } from './database.ts';
import { ingestMultixact } from './multixact.ts';
import { ObjectSizes } from './object-sizes.ts';
import type { Pacer } from './pacer.ts';
import { ParameterState } from './parameters.ts';
import { ingestBlocks, ingestVisibilityMapClears } from './relation-blocks.ts';
import { ingestRelationMap } from './relation-map.ts';
import { ingestReplicationOrigin } from './replication-origin.ts';
import { SlruWriter } from './slru-writer.ts';
import { ingestSmgr } from './smgr.ts';
import { ingestStandby } from './standby.ts';
import { ingestTablespace } from './tablespace.ts';
import type { IngestTarget, WalOptions } from './target.ts';
import { ingestTransaction } from './transaction.ts';
import { ingestXlog } from './xlog.ts';

const RMGR_COUNT = 256;

const ingestHeap: RecordHandler = (context, record) => {
  ingestBlocks(context, record);
  ingestVisibilityMapClears(context, record);
};

const ingestNothing: RecordHandler = () => undefined;

/** By resource manager: 1 when its records may look at what the records before them put. The frequent ones do not. */
const LOOKS_BACK = new Uint8Array(RMGR_COUNT).fill(1);
for (const rmid of [
  RM_XACT_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_BTREE_ID,
  RM_SEQ_ID,
  RM_GENERIC_ID,
  RM_SMGR_ID,
  RM_STANDBY_ID,
])
  LOOKS_BACK[rmid] = 0;

/** By resource manager. One that is not here changes pages only, as far as is known: its records are stored for the blocks they refer to, and redo decides. */
const HANDLERS: readonly (RecordHandler | undefined)[] = tableByRmid([
  [RM_XLOG_ID, ingestXlog],
  [RM_XACT_ID, ingestTransaction],
  [RM_SMGR_ID, ingestSmgr],
  [RM_CLOG_ID, ingestClog],
  [RM_DBASE_ID, ingestDatabase],
  [RM_TBLSPC_ID, ingestTablespace],
  [RM_MULTIXACT_ID, ingestMultixact],
  [RM_RELMAP_ID, ingestRelationMap],
  [RM_STANDBY_ID, ingestStandby],
  [RM_HEAP2_ID, ingestHeap],
  [RM_HEAP_ID, ingestHeap],
  [RM_BTREE_ID, ingestBlocks],
  [RM_SEQ_ID, ingestBlocks],
  [RM_COMMIT_TS_ID, ingestCommitTs],
  [RM_REPLORIGIN_ID, ingestReplicationOrigin],
  [RM_GENERIC_ID, ingestBlocks],
  [RM_LOGICALMSG_ID, ingestNothing],
]);

function tableByRmid(
  entries: readonly (readonly [rmid: number, handler: RecordHandler])[],
): readonly (RecordHandler | undefined)[] {
  const table = Array.from<RecordHandler | undefined>({ length: RMGR_COUNT });
  for (const [rmid, handler] of entries) table[rmid] = handler;
  return table;
}

/** Counts of what was ingested since the process started. */
export interface IngestStatistics {
  readonly records: number;
  /** Records by resource manager id. */
  readonly recordsByRmid: Float64Array;
  /** Records of kinds that this build has no redo for: pages that they changed cannot be read from there on until an image comes. */
  readonly unknownRecords: number;
}

/**
 * Turns the records of one timeline's WAL into values, in order. It keeps the head of the timeline in memory: counters, parameters, the sizes of what it has touched. The only
 * writer of the timeline.
 */
export class WalIngest {
  readonly #context: IngestContext;
  readonly #checkpointObject: ObjectId;
  readonly #recordsByRmid = new Float64Array(RMGR_COUNT);
  #records = 0;
  #unknownRecords = 0;
  /** End of the last record whose ingest began. */
  #position: Lsn;
  /** End of the last record that was ingested whole. */
  #wholeUpTo: Lsn;

  /**
   * Begins at the head of `target`, with what is stored there.
   * @throws PageserverError `not-imported` when the timeline has no counters or no control file
   */
  constructor(target: IngestTarget, pacer: Pacer) {
    const lsn = target.lastRecordLsn;
    this.#position = lsn;
    this.#wholeUpTo = lsn;
    this.#checkpointObject = target.intern(ObjectKind.checkpoint, 0, 0, 0, 0);
    const counters = new ClusterCounters(existing(target, target.readSmall(this.#checkpointObject, lsn)));
    const controlFile = existing(target, target.readSmall(target.intern(ObjectKind.controlFile, 0, 0, 0, 0), lsn));
    const sizes = new ObjectSizes(target);
    this.#context = {
      target,
      format: formatOf(target.pgMajor),
      sizes,
      slru: new SlruWriter(target, sizes),
      counters,
      parameters: new ParameterState(target.pgMajor, controlFile),
      pacer,
      scratch: new ScratchBuffer(),
      blockObjects: new Int32Array(XLR_MAX_BLOCK_ID + 1),
      clears: new VisibilityMapClears(),
      xact: new XactRecord(),
    };
  }

  /**
   * For a stream that begins at the head of `target`: `before`, or, when that is not there, a new one that goes on counting. It is not there when a record was abandoned in the middle because of what may be tried again, such as the copy of a database
   * whose layers could not be fetched: what it knows then is of the middle of that record, which is put again as a whole.
   * @throws as the constructor
   */
  static at(target: IngestTarget, pacer: Pacer, before?: WalIngest): WalIngest {
    if (before !== undefined && before.#position === target.lastRecordLsn) return before;
    const made = new WalIngest(target, pacer);
    if (before === undefined) return made;
    made.#records = before.#records;
    made.#unknownRecords = before.#unknownRecords;
    made.#recordsByRmid.set(before.#recordsByRmid);
    return made;
  }

  /** What the WAL of this timeline must look like. */
  get walOptions(): Required<WalOptions> {
    const { systemId, walSegmentSize } = this.#context.parameters;
    return { systemId, segmentSize: walSegmentSize };
  }

  /** Live counts; owned by this object. */
  get statistics(): IngestStatistics {
    return { records: this.#records, recordsByRmid: this.#recordsByRmid, unknownRecords: this.#unknownRecords };
  }

  /**
   * Puts everything that `record` changes, at its end LSN. The record is only borrowed until the call returns.
   * @returns a promise when the record means long work (the copy of a database): no other record may be ingested before it settles
   * @throws CorruptionError when the record does not add up: the WAL cannot be followed any further. Whatever it throws, {@link abandon} comes next
   */
  ingest(record: WalRecord): Promise<void> | undefined {
    const { counters } = this.#context;
    counters.advancePastXid(record.xid);
    const rmid = record.rmid;
    this.#records++;
    this.#recordsByRmid[rmid] = (this.#recordsByRmid[rmid] as number) + 1;
    if (!knowsRecord(this.#context.format.major, record)) this.#unknownRecords++;
    const handler: RecordHandler = HANDLERS[rmid] ?? ingestBlocks;
    const lsn = record.endLsn;
    if (LOOKS_BACK[rmid] === 1 || record.origin !== 0) this.#context.target.advance(this.#position);
    this.#position = lsn;
    const work = handler(this.#context, record);
    if (work instanceof Promise) return work.then(() => this.#finish(lsn));
    this.#finish(lsn);
    return undefined;
  }

  /** The record whose ingest threw is given up: of what it put nothing is left, what came before it is whole. This object is done with: {@link at} makes another for the next stream. */
  abandon(): void {
    this.#context.target.abandon(this.#wholeUpTo);
  }

  /** Puts what the record changed of the head's own state. */
  #finish(lsn: Lsn): void {
    const { sizes, counters, target } = this.#context;
    if (sizes.hasChanged) sizes.putChanged(lsn);
    this.#wholeUpTo = lsn;
    if (!counters.changed) return;
    counters.changed = false;
    target.put(this.#checkpointObject, 0, lsn, ValueKind.image, counters.bytes, 0, SIZE_OF_CHECK_POINT);
  }
}

function existing(target: IngestTarget, value: Uint8Array | undefined): Uint8Array {
  if (value === undefined || value.length === 0)
    throw new PageserverError('not-imported', `timeline ${target.timeline} has no cluster in it`);
  return value;
}
