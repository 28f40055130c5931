import { PG_TIMELINE, type Lsn } from '@zenith/base';
import type { TermHistory, TimelineIdentity } from '@zenith/consensus';
import { WalRecord, WalStreamDecoder } from '@zenith/pg-format';
import { pgMajorOf } from '../wal-storage/record-end.ts';
import { segmentPrefix } from '../wal-storage/segment-prefix.ts';

/** Read and decoded in one turn of the event loop. Unit: bytes. */
export const CHUNK_LENGTH = 64 * 1024;

/** Where WAL is not what was written, and why that is known. */
export interface WalDamage {
  /** Where the record or page begins that is not valid. */
  readonly lsn: Lsn;
  /** One sentence for a person. */
  readonly message: string;
}

/** Where terms begin, ascending. */
export function termStartsOf(history: TermHistory): readonly Lsn[] {
  return history.map(({ startLsn }) => startLsn);
}

/** What is wrong with what lies before a timeline's beginning in its first segment: it has to be what every safekeeper writes there. */
export function prefixDamage(identity: TimelineIdentity, prefix: Uint8Array): WalDamage | undefined {
  if (Buffer.compare(prefix, segmentPrefix(identity)) === 0) return undefined;
  const { timelineStartLsn, segmentSize } = identity;
  return {
    lsn: (timelineStartLsn - (timelineStartLsn % segmentSize)) as Lsn,
    message: 'what lies before the beginning of the timeline is not what is written there',
  };
}

/** Decodes a timeline's committed WAL in order: every record's checksum and link and every page header has to be right, and what no checksum covers has to be zero. */
export class WalVerifier {
  readonly #identity: TimelineIdentity;
  readonly #onRecord: (lsn: Lsn) => void;
  readonly #record = new WalRecord();
  #decoder: WalStreamDecoder;
  #nextLsn: Lsn;
  #damage: WalDamage | undefined;

  /**
   * @param startLsn a record boundary; the link of the first record is not known, and not asked for
   * @param onRecord told where each record begins that was valid
   */
  constructor(identity: TimelineIdentity, startLsn: Lsn, onRecord: (lsn: Lsn) => void = () => undefined) {
    this.#identity = identity;
    this.#onRecord = onRecord;
    this.#nextLsn = startLsn;
    this.#decoder = this.#decoderFrom(startLsn);
  }

  /** Where what is pushed next begins. */
  get nextLsn(): Lsn {
    return this.#nextLsn;
  }

  /** End of the last whole record. */
  get position(): Lsn {
    return this.#decoder.position;
  }

  /** Set once something is not valid; what is pushed after that is not looked at. */
  get damage(): WalDamage | undefined {
    return this.#damage;
  }

  /**
   * Takes the next bytes, only borrowed.
   * @param termStarts where terms begin, as far as these bytes reach: there the first record's link says nothing, since a proposer is not asked for it
   */
  push(bytes: Uint8Array, termStarts: readonly Lsn[]): void {
    const beginLsn = this.#nextLsn;
    const endLsn = beginLsn + bytes.length;
    while (this.#nextLsn < endLsn && this.#damage === undefined) {
      const lsn = this.#nextLsn;
      if (this.#decoder.position === lsn && termStarts.includes(lsn)) this.#decoder = this.#decoderFrom(lsn);
      const termStart = termStarts.find((start) => start > lsn) ?? endLsn;
      const limit = Math.min(lsn + CHUNK_LENGTH, termStart, endLsn);
      this.#decode(bytes.subarray(lsn - beginLsn, limit - beginLsn));
      this.#nextLsn = limit as Lsn;
    }
  }

  #decode(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    while (this.#decoder.next(this.#record)) this.#onRecord(this.#record.lsn);
    const { end, pgTimeline } = this.#decoder;
    if (end !== undefined) this.#damage = { lsn: end.lsn, message: end.message };
    else if (pgTimeline > PG_TIMELINE)
      this.#damage = { lsn: this.#nextLsn, message: `the WAL is that of timeline ${pgTimeline}` };
  }

  #decoderFrom(lsn: Lsn): WalStreamDecoder {
    const { systemId, segmentSize } = this.#identity;
    return new WalStreamDecoder(pgMajorOf(this.#identity), lsn, { systemId, segmentSize, gaps: 'zeroes' });
  }
}
