import type { Lsn } from '@zenith/base';
import type { TermHistory, TimelineIdentity } from '@zenith/consensus';
import { XLOG_BLCKSZ } from '@zenith/pg-format';
import { firstRecordOf, type ReadWal } from './first-record.ts';
import { prefixDamage, termStartsOf, WalVerifier, type WalDamage } from './wal-verifier.ts';

/**
 * Verifies a timeline's archived segments one after the other, as each of them was verified before it was archived, and over their boundaries: one decoder runs from the timeline's beginning to the archive's end, where the last record may be without its end.
 *
 * After damage, and after a segment that could not be read, it goes on at the next page on which a record begins: what belongs to records before, and that page's header, is passed over.
 */
export class ArchivedWal {
  readonly #identity: TimelineIdentity;
  #verifier: WalVerifier | undefined;
  #nextNumber = -1;

  constructor(identity: TimelineIdentity) {
    this.#identity = identity;
  }

  /**
   * Takes a segment of a higher number than the one before.
   * @param history where terms begin, up to the segment's end
   * @param bytes the whole segment, borrowed until this resolves
   * @returns the first damage that is found with it; of a record that reaches in, this may be in a segment before
   */
  async verify(number: number, history: TermHistory, bytes: Uint8Array): Promise<WalDamage | undefined> {
    const { segmentSize, timelineStartLsn } = this.#identity;
    const startLsn = (number * segmentSize) as Lsn;
    const termStarts = termStartsOf(history);
    if (number !== this.#nextNumber) this.#verifier = undefined;
    this.#nextNumber = number + 1;
    let damage: WalDamage | undefined;
    if (startLsn < timelineStartLsn)
      damage = prefixDamage(this.#identity, bytes.subarray(0, timelineStartLsn - startLsn));
    for (let fromLsn = startLsn; ;) {
      this.#verifier ??= await this.#resume(number, fromLsn, bytes);
      if (this.#verifier === undefined) return damage;
      this.#verifier.push(bytes.subarray(this.#verifier.nextLsn - startLsn), termStarts);
      const found = this.#verifier.damage;
      if (found === undefined) return damage;
      damage ??= found;
      this.#verifier = undefined;
      if (found.lsn >= startLsn) fromLsn = (found.lsn - (found.lsn % XLOG_BLCKSZ) + XLOG_BLCKSZ) as Lsn;
    }
  }

  /** Begins at the first record that begins on the page at `fromLsn` of the segment or after it, if there is one. */
  async #resume(number: number, fromLsn: Lsn, bytes: Uint8Array): Promise<WalVerifier | undefined> {
    const startLsn = number * this.#identity.segmentSize;
    const read: ReadWal = (lsn, into) => {
      into.set(bytes.subarray(lsn - startLsn, lsn - startLsn + into.length));
      return Promise.resolve();
    };
    const recordLsn = await firstRecordOf(this.#identity, number, read, fromLsn);
    return recordLsn === undefined ? undefined : new WalVerifier(this.#identity, recordLsn);
  }
}
