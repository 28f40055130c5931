import type { Lsn } from '@zenith/base';

/** Commit points that become due within this time are told together; it also bounds how many wait. Unit: milliseconds. */
const GRAIN_MS = 2;

/** Holds commit points back for a while before PostgreSQL hears of them, which slows down whoever commits, and nobody else. Their order stays. */
export class CommitThrottle {
  readonly #release: (commitLsn: Lsn) => void;
  readonly #nowMs: () => number;
  /** Held back, in order; due times never decrease. */
  readonly #held: { commitLsn: Lsn; dueMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #heldCount = 0;
  /** How long commit points are held back from now on. Unit: milliseconds. */
  delayMs = 0;

  /** @param nowMs a monotonic clock */
  constructor(release: (commitLsn: Lsn) => void, nowMs: () => number) {
    this.#release = release;
    this.#nowMs = nowMs;
  }

  /** How many commit points were held back so far. */
  get heldCount(): number {
    return this.#heldCount;
  }

  /** Takes a commit point, and hands it on at once or when it is due. */
  pass(commitLsn: Lsn): void {
    if (this.delayMs <= 0 && this.#held.length === 0) return this.#release(commitLsn);
    this.#heldCount++;
    const last = this.#held.at(-1);
    const dueMs = Math.max(this.#nowMs() + this.delayMs, last?.dueMs ?? 0);
    if (last !== undefined && dueMs - last.dueMs < GRAIN_MS) last.commitLsn = commitLsn;
    else this.#held.push({ commitLsn, dueMs });
    this.#timer ??= setTimeout(() => this.#releaseDue(), dueMs - this.#nowMs());
  }

  /** Drops what is held back. */
  close(): void {
    clearTimeout(this.#timer);
    this.#held.length = 0;
  }

  #releaseDue(): void {
    this.#timer = undefined;
    const now = this.#nowMs();
    let reached: Lsn | undefined;
    for (let next = this.#held[0]; next !== undefined && next.dueMs <= now; next = this.#held[0]) {
      reached = next.commitLsn;
      this.#held.shift();
    }
    if (reached !== undefined) this.#release(reached);
    const [next] = this.#held;
    if (next !== undefined) this.#timer ??= setTimeout(() => this.#releaseDue(), Math.max(1, next.dueMs - now));
  }
}
