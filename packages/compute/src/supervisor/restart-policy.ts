/** Restarts that are allowed in a row. */
export const RESTARTS_MAX = 5;

/** Restarts longer ago do not count. Unit: milliseconds. */
const RESTARTS_WITHIN_MS = 10 * 60_000;

/** A PostgreSQL that has run for so long has recovered: what was before it does not count. Unit: milliseconds. */
const RECOVERED_AFTER_MS = 60_000;

/** Pause before the second restart in a row; each further one waits twice as long. Unit: milliseconds. */
const PAUSE_FIRST_MS = 500;

/** Longest pause while storage is away. Unit: milliseconds. */
const PAUSE_AWAY_MAX_MS = 4_000;

/**
 * Whether, and after which pause, a compute whose PostgreSQL crashed is started again. The first restart is at once, since most crashes are alone; a PostgreSQL that crashes again and
 * again is given some seconds (0 + 0.5 + 1 + 2 + 4) and then up: a person must look. An attempt that found no safekeepers or no pageserver says nothing of PostgreSQL: it does not count. Knows no clock.
 */
export class RestartPolicy {
  #restartsMs: number[] = [];

  /** PostgreSQL ran for `ranMs` before it crashed. */
  noteRun(ranMs: number): void {
    if (ranMs >= RECOVERED_AFTER_MS) this.#restartsMs = [];
  }

  /**
   * Asks for one more restart, which counts from now on.
   * @param nowMs any clock that does not go back
   * @returns how long to wait before it, in milliseconds; undefined when there have been too many
   */
  next(nowMs: number): number | undefined {
    this.#restartsMs = this.#restartsMs.filter((atMs) => nowMs - atMs < RESTARTS_WITHIN_MS);
    if (this.#restartsMs.length >= RESTARTS_MAX) return undefined;
    this.#restartsMs.push(nowMs);
    const before = this.#restartsMs.length - 1;
    return before === 0 ? 0 : PAUSE_FIRST_MS * 2 ** (before - 1);
  }
}

/** How long to wait before the next attempt after so many in a row, at least one, that found storage away. Unit: milliseconds. */
export function pauseWhileAway(attempts: number): number {
  return Math.min(PAUSE_FIRST_MS * 2 ** (attempts - 1), PAUSE_AWAY_MAX_MS);
}
