import { newTenantId, newTimelineId, type Lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import { nodeId, type Configuration, type TimelineIdentity } from '@zenith/consensus';
import { RM_LOGICALMSG_ID, WalStreamEncoder, type EncodedRecord } from '@zenith/pg-format';

/** Segments of the tests: the smallest PostgreSQL knows, so that crossing them is cheap. Unit: bytes. */
export const SEGMENT_SIZE = 1024 * 1024;

/** Data of the records, in turn. Unit: bytes. */
const RECORD_LENGTHS = [40, 8, 200, 3_000, 17, 20_000, 64];

/** An identity of its own for a test. The WAL begins in the middle of a page. */
export function testIdentity(startLsn = (3 * SEGMENT_SIZE + 8192 + 296) as Lsn): TimelineIdentity {
  const tenant: TenantId = newTenantId();
  const timeline: TimelineId = newTimelineId();
  return {
    tenant,
    timeline,
    pgMajor: 18,
    systemId: '7340000000000000001' as SystemId,
    segmentSize: SEGMENT_SIZE,
    timelineStartLsn: startLsn,
  };
}

/** Safekeepers 1 to `count`. */
export function testConfiguration(count: number): Configuration {
  return { generation: 1, members: Array.from({ length: count }, (_, i) => nodeId(i + 1)), newMembers: null };
}

/** WAL of synthetic records of all sizes, over pages and segments. Two with the same fill byte are equal. */
export class TestWal {
  readonly startLsn: Lsn;
  readonly records: EncodedRecord[] = [];
  readonly #encoder: WalStreamEncoder;
  readonly #prefix: Uint8Array;
  readonly #prefixStart: Lsn;
  readonly #continues: TestWal | undefined;
  readonly #fill: number;

  /**
   * @param continues WAL that lies before `startLsn`: this one goes on from it
   * @param previousLsn what the first record says of the one before it; by default the truth
   */
  constructor(
    identity: TimelineIdentity,
    startLsn = identity.timelineStartLsn,
    fill = 1,
    continues?: TestWal,
    previousLsn = continues?.lastRecordBefore(startLsn) ?? ((startLsn - 8) as Lsn),
  ) {
    this.#continues = continues;
    this.startLsn = startLsn;
    this.#fill = fill;
    this.#prefixStart = continues?.startLsn ?? startLsn;
    this.#prefix = continues?.bytes(continues.startLsn, startLsn).slice() ?? new Uint8Array(0);
    this.#encoder = new WalStreamEncoder(18, startLsn, {
      systemId: identity.systemId,
      segmentSize: identity.segmentSize,
      previousLsn,
    });
  }

  get endLsn(): Lsn {
    return this.#encoder.endLsn;
  }

  /** Adds records until at least `bytes` more are there. */
  grow(bytes: number): this {
    const target = this.endLsn + bytes;
    while (this.endLsn < target) this.record(RECORD_LENGTHS[this.records.length % RECORD_LENGTHS.length] ?? 0);
    return this;
  }

  /** Adds one record with so much data. */
  record(dataLength: number): EncodedRecord {
    const made = this.#encoder.append({
      rmid: RM_LOGICALMSG_ID,
      info: 0,
      xid: this.records.length + 3,
      mainData: new Uint8Array(dataLength).fill(this.#fill),
    });
    this.records.push(made);
    return made;
  }

  /** The WAL `[begin, end)`. It never changes: what is written goes behind it, or to a larger copy. */
  bytes(begin: Lsn, end: Lsn): Uint8Array {
    if (end <= this.startLsn) return this.#prefix.subarray(begin - this.#prefixStart, end - this.#prefixStart);
    if (begin >= this.startLsn) return this.#encoder.bytes.subarray(begin - this.startLsn, end - this.startLsn);
    return Buffer.concat([this.bytes(begin, this.startLsn), this.bytes(this.startLsn, end)]);
  }

  /** Start of the last record that ends at `lsn` or before. */
  lastRecordBefore(lsn: Lsn): Lsn | undefined {
    return this.records.findLast(({ endLsn }) => endLsn <= lsn)?.lsn ?? this.#continues?.lastRecordBefore(lsn);
  }

  /** End of the last record that lies before `lsn` in full. */
  recordEndBefore(lsn: Lsn): Lsn {
    return this.records.findLast(({ endLsn }) => endLsn <= lsn)?.endLsn ?? this.startLsn;
  }
}
