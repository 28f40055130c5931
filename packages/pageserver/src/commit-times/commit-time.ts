declare const unit: unique symbol;

/** When a transaction was committed, by its server's clock. Unit: microseconds since 1970 UTC; an integer, 1970 to 2112. */
export type CommitTime = number & { readonly [unit]: 'commit time' };

/** PostgreSQL counts from 2000-01-01. PG: timestamp.h, POSTGRES_EPOCH_JDATE. Unit: µs since 1970. */
const POSTGRES_EPOCH = 946_684_800_000_000;

const WORD = 0x1_0000_0000;

/** So that the difference of two times, with its sign in one more bit, is exact. */
const TIME_MAX = 2 ** 52 - 1;

/** Reads a TimestampTz, as commit records carry it at `offset`. What a clock that was wrong by generations says is taken for the first or the last time there is. */
export function readCommitTime(view: DataView, offset: number): CommitTime {
  const time = POSTGRES_EPOCH + view.getInt32(offset + 4, true) * WORD + view.getUint32(offset, true);
  return Math.min(Math.max(time, 0), TIME_MAX) as CommitTime;
}

/** Reads a pg_time_t, as checkpoints carry it at `offset`: whole seconds since 1970. */
export function readCheckpointTime(view: DataView, offset: number): CommitTime {
  return ((view.getInt32(offset + 4, true) * WORD + view.getUint32(offset, true)) * 1_000_000) as CommitTime;
}
