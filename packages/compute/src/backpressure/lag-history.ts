import type { Lsn } from '@zenith/base';
import { NO_LAG, type Lag } from './limits.ts';

/** Most samples kept; at one a second the age of WAL is known up to more than an hour. */
const SAMPLES_MAX = 4096;

/** When which WAL was committed, in samples: tells how old what lags is. */
export class LagHistory {
  readonly #samples: { readonly atMs: number; readonly commitLsn: Lsn }[] = [];

  /** Notes the commit LSN of now. Neither goes back. */
  note(atMs: number, commitLsn: Lsn): void {
    if (this.#samples.at(-1)?.commitLsn === commitLsn) return;
    this.#samples.push({ atMs, commitLsn });
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** How far `reached` lags behind the newest sample. */
  lag(nowMs: number, reached: Lsn): Lag {
    const newest = this.#samples.at(-1);
    if (newest === undefined || reached >= newest.commitLsn) return NO_LAG;
    const missing = this.#samples.find(({ commitLsn }) => commitLsn > reached) ?? newest;
    return { bytes: newest.commitLsn - reached, seconds: (nowMs - missing.atMs) / 1000 };
  }
}
