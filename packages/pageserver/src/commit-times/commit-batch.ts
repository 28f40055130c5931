import { CorruptionError, type Lsn } from '@zenith/base';
import type { CommitTime } from './commit-time.ts';

// A batch of commits, the value of the key (commitTimes, 0). Numbers are varints: 7 bits a byte, the lowest first, the top bit says that more follow; signed ones are 2n or -2n-1.
//   previous LSN | time before, signed | count | count × (LSN minus the LSN before it | time minus the time before it, signed)

/** Most commits of a batch: what a look-up decodes. */
export const BATCH_COMMITS_MAX = 256;

/** Longest encoding of a batch. Unit: bytes. */
const BATCH_BYTES_MAX = (2 * BATCH_COMMITS_MAX + 3) * 8;

/** Commits that follow each other in the WAL, and what was before them. */
export interface CommitBatch {
  /** End of the last commit before these; 0 when there is none. */
  readonly previousLsn: Lsn;
  /** The latest time of all commits before these; meaningless when there is none. */
  readonly timeBefore: CommitTime;
  /** How many. */
  readonly count: number;
  /** Where the commit records end, ascending; `count` of them count. */
  readonly lsns: Float64Array;
  /** Their times, as they are in the records: not always ascending. */
  readonly times: Float64Array;
}

/** The bytes of a batch. */
export function encodeBatch(batch: CommitBatch): Uint8Array {
  const bytes = new Uint8Array(BATCH_BYTES_MAX);
  let at = putVarint(bytes, 0, batch.previousLsn);
  at = putVarint(bytes, at, zigzag(batch.timeBefore));
  at = putVarint(bytes, at, batch.count);
  let lsn: number = batch.previousLsn;
  let time: number = batch.timeBefore;
  for (let i = 0; i < batch.count; i++) {
    at = putVarint(bytes, at, (batch.lsns[i] as number) - lsn);
    at = putVarint(bytes, at, zigzag((batch.times[i] as number) - time));
    lsn = batch.lsns[i] as number;
    time = batch.times[i] as number;
  }
  return bytes.subarray(0, at);
}

/** Reads a batch. @throws CorruptionError when these are not the bytes of one */
export function decodeBatch(bytes: Uint8Array): CommitBatch {
  const reader = new VarintReader(bytes);
  const previousLsn = reader.next();
  const timeBefore = unzigzag(reader.next());
  const count = reader.next();
  if (count < 1 || count > BATCH_COMMITS_MAX) throw new CorruptionError(`a batch of commit times counts ${count}`);
  const lsns = new Float64Array(count);
  const times = new Float64Array(count);
  let lsn = previousLsn;
  let time = timeBefore;
  for (let i = 0; i < count; i++) {
    lsns[i] = lsn += reader.next();
    times[i] = time += unzigzag(reader.next());
  }
  if (!reader.isAtEnd) throw new CorruptionError('a batch of commit times is longer than its commits');
  return { previousLsn: previousLsn as Lsn, timeBefore: timeBefore as CommitTime, count, lsns, times };
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

function putVarint(into: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 128) {
    into[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  into[at++] = rest;
  return at;
}

class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || scale > 2 ** 49) throw new CorruptionError('a batch of commit times ends early');
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    if (!Number.isSafeInteger(value))
      throw new CorruptionError('a batch of commit times has a number that is too large');
    return value;
  }
}
