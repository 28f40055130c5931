import { CorruptionError, ZenithError, formatLsn } from '@zenith/base';
import type { WalRecord } from '@zenith/pg-format';

/**
 * The expected failures of this package.
 * - `unsupported-record`: the record is fine as far as we know, but this build knows no redo for it; the message names resource manager and record.
 */
export type RedoErrorCode = 'unsupported-record';

/** An expected failure of redo. */
export class RedoError extends ZenithError<RedoErrorCode> {
  override readonly name = 'RedoError';
}

/** Where a record is, for messages: its position when it is known, its end for one that was stored trimmed. */
export function recordPosition(record: WalRecord): string {
  return record.lsn === 0
    ? `WAL record that ends at ${formatLsn(record.endLsn)}`
    : `WAL record at ${formatLsn(record.lsn)}`;
}

/** A {@link CorruptionError} about the bytes of `record`; to be thrown by the caller. */
export function corruptRecord(record: WalRecord, message: string): CorruptionError {
  return new CorruptionError(message, { source: recordPosition(record) });
}
