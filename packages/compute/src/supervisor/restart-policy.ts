/** Restarts that are allowed in a row. */
export const RESTARTS_MAX = 5;

/** Restarts longer ago do not count. Unit: milliseconds. */
const RESTARTS_WITHIN_MS = 10 * 60_000;

/** A PostgreSQL that has run for so long has recovered: what was before it does not count. Unit: milliseconds. */
const RECOVERED_AFTER_MS = 60_000;

/** Pause before the second restart in a row; each further one waits twice as long. Unit: milliseconds. */
const PAUSE_FIRST_MS = 500;

/**
 * Whether, and after which pause, a compute whose PostgreSQL crashed is started again. The first restart is at once, since most crashes are alone; a PostgreSQL that crashes again and
 * again, or a restart that fails for want of the safekeepers, is given some seconds (0 + 0.5 + 1 + 2 + 4) and then up: a person must look. Knows no clock.
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
