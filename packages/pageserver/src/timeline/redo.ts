import { CorruptionError, INVALID_LSN, type Lsn } from '@zenith/base';
import { decodeRecord, type Page, type PgMajor, WalRecord } from '@zenith/pg-format';
import { applyOperation, redoBlock } from '@zenith/redo';

/** What rebuilding a page needs of redo. Everything passed is only borrowed; failures are CorruptionError or ZenithError. */
export interface PageRedo {
  /** Applies a value of kind `record` or `initRecord`, `bytes[offset, offset + length)`, whose record ends at `lsn`, to `page`. `view` covers the same bytes. */
  applyRecord(
    pgMajor: PgMajor,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    lsn: Lsn,
    page: Page,
  ): void;
  /** Applies a value of kind `operation`. */
  applyOperation(bytes: Uint8Array, view: DataView, offset: number, length: number, lsn: Lsn, page: Page): void;
}

/** Redo as PostgreSQL does it, by packages/redo. Each has a scratch record of its own. */
export function postgresRedo(): PageRedo {
  const record = new WalRecord();
  return {
    applyRecord(pgMajor, bytes, view, offset, length, lsn, page) {
      if (length < 2) throw new CorruptionError('a stored record is too short to be one');
      decodeRecord(pgMajor, bytes, view, offset + 1, INVALID_LSN, lsn, record);
      if (record.totalLength !== length - 1)
        throw new CorruptionError(`a stored record of ${length - 1} bytes says that it has ${record.totalLength}`);
      redoBlock(pgMajor, record, bytes[offset] as number, page);
    },
    applyOperation(_bytes, view, offset, length, lsn, page) {
      applyOperation(view, offset, length, page, lsn);
    },
  };
}
