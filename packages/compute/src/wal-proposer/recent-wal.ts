import { assert, lsn, type Lsn } from '@zenith/base';

/** Allocation unit. A slab is never written to again where it was handed out, so readers may hold on to its bytes. Unit: bytes. */
const SLAB_BYTES = 256 * 1024;

interface Slab {
  readonly startLsn: Lsn;
  readonly bytes: Uint8Array;
  used: number;
}

/**
 * The newest WAL, contiguous, in memory: what safekeepers that keep up are sent. Old slabs are dropped as new ones come; a safekeeper that needs what was dropped reads it from
 * `pg_wal`. Bytes given out stay valid and unchanged for as long as somebody refers to them.
 */
export class RecentWal {
  readonly #slabsMax: number;
  readonly #slabs: Slab[] = [];
  #endLsn: Lsn;

  /**
   * @param startLsn where the WAL begins
   * @param bytesMax how much is kept at most, rounded up to whole slabs
   */
  constructor(startLsn: Lsn, bytesMax: number) {
    this.#endLsn = startLsn;
    this.#slabsMax = Math.max(2, Math.ceil(bytesMax / SLAB_BYTES));
  }

  /** First byte that is kept; equals {@link endLsn} while there is none. */
  get startLsn(): Lsn {
    return this.#slabs[0]?.startLsn ?? this.#endLsn;
  }

  /** First byte not there yet. */
  get endLsn(): Lsn {
    return this.#endLsn;
  }

  /** Copies `bytes[offset, offset + length)` to the end; they are only borrowed. */
  append(bytes: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length;) {
      let slab = this.#slabs.at(-1);
      if (slab === undefined || slab.used === SLAB_BYTES) {
        slab = { startLsn: this.#endLsn, bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0 };
        this.#slabs.push(slab);
        if (this.#slabs.length > this.#slabsMax) this.#slabs.shift();
      }
      const part = Math.min(length - done, SLAB_BYTES - slab.used);
      slab.bytes.set(bytes.subarray(offset + done, offset + done + part), slab.used);
      slab.used += part;
      done += part;
      this.#endLsn = lsn(this.#endLsn + part);
    }
  }

  /** Up to `bytesMax` bytes from `from` on without a copy, fewer where a slab ends; undefined when `from` was dropped already. `from` lies below {@link endLsn}. */
  read(from: Lsn, bytesMax: number): Uint8Array | undefined {
    assert(from < this.#endLsn, 'only WAL that has arrived is read');
    for (let i = this.#slabs.length - 1; i >= 0; i--) {
      const slab = this.#slabs[i] as Slab;
      if (from < slab.startLsn) continue;
      const begin = from - slab.startLsn;
      return slab.bytes.subarray(begin, Math.min(slab.used, begin + bytesMax));
    }
    return undefined;
  }
}
