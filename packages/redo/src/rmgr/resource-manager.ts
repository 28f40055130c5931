import type { Page, PgMajor, WalRecord } from '@zenith/pg-format';

/**
 * Applies a record to one of its blocks, in place. `page` holds the block as it was before the record, or zeroes when the record initialises
 * it. True when the page was changed and so gets the record's LSN. The record is only borrowed.
 * @throws CorruptionError, or RangeError for an offset that leads out of record or page; the page's content is then undefined
 */
export type RedoRoutine = (record: WalRecord, blockIndex: number, page: Page) => boolean;

/**
 * Overwrites what of a page may differ between the server that wrote the WAL and one that replays it: hint bits, unused space. PG: rm_mask.
 * @throws CorruptionError, or RangeError, when the page cannot be masked
 */
type MaskRoutine = (page: Page, blockNumber: number) => void;

/** One kind of WAL record of a resource manager. */
export interface RecordType {
  /** After PostgreSQL's rm_identify: `INSERT`. */
  readonly name: string;
  readonly redo: RedoRoutine;
  /** What redo does to a block although its image was restored: the change that the server makes only after it has written the record. */
  readonly redoOnImage?: RedoRoutine;
  /** A few words on the record's main data for messages; may read garbage, but only of a record whose bounds were checked. */
  readonly detail?: (record: WalRecord) => string;
}

/** What is known of a resource manager in one major version. */
export interface ResourceManager {
  /** `HEAP`, `BTREE`, … */
  readonly name: string;
  /** The bits of xl_info that tell the kind of record. */
  readonly infoMask: number;
  /** A bit of xl_info beside them that says that redo begins with an empty page, 0 when there is none. */
  readonly initBit: number;
  /** Kinds of records by `(info & infoMask) >> 4`. */
  readonly records: readonly (RecordType | undefined)[];
  /** Absent when PostgreSQL has none, and so never checks the records of this resource manager. */
  readonly mask: MaskRoutine | undefined;
}

/** The resource managers of a major version by rmid; `undefined` for one that is not known. */
export type ResourceManagerTable = readonly (ResourceManager | undefined)[];

/** What a resource manager needs to give for {@link resourceManager}. */
export interface ResourceManagerParts {
  readonly name: string;
  /** 0xf0 unless given. */
  readonly infoMask?: number;
  readonly initBit?: number;
  readonly mask?: MaskRoutine;
  /** Kinds of records by info code (`0x00`, `0x10`, …). */
  readonly records: Readonly<Record<number, RecordType>>;
}

/** Builds the dense table of a resource manager. */
export function resourceManager(parts: ResourceManagerParts): ResourceManager {
  const records = Array.from({ length: 16 }, (_, code) => parts.records[code << 4]);
  return { name: parts.name, infoMask: parts.infoMask ?? 0xf0, initBit: parts.initBit ?? 0, records, mask: parts.mask };
}

/** The kind of `record`, or `undefined` when its resource manager has none with that code. */
export function recordType(rmgr: ResourceManager, record: WalRecord): RecordType | undefined {
  return rmgr.records[(record.info & rmgr.infoMask) >>> 4];
}

/** A major version and its resource managers. */
export interface VersionTable {
  readonly major: PgMajor;
  readonly resourceManagers: ResourceManagerTable;
}
