/** How far what follows the WAL may lag before commits are slowed down; 0 turns a limit off. */
export interface BackpressureLimits {
  /** WAL committed and not yet ingested by a pageserver. Unit: bytes. */
  readonly ingestLagBytesMax: number;
  /** Age of the oldest such WAL. Unit: seconds. */
  readonly ingestLagSecondsMax: number;
  /** WAL committed and not yet in the archive. Unit: bytes. */
  readonly archiveLagBytesMax: number;
  /** Age of the oldest such WAL. Unit: seconds. */
  readonly archiveLagSecondsMax: number;
  /** The longest that the acknowledgement of a commit is held back. Unit: milliseconds. */
  readonly delayMsMax: number;
}

/** How far something lags behind what is committed. */
export interface Lag {
  /** Unit: bytes. */
  readonly bytes: number;
  /** Unit: seconds. */
  readonly seconds: number;
}

/** No lag at all. */
export const NO_LAG: Lag = { bytes: 0, seconds: 0 };

/**
 * How long the acknowledgement of a commit is held back: nothing up to the limits, then more the further beyond them, smoothly, and at twice a limit as much as it ever gets.
 * @returns milliseconds
 */
export function commitDelayMs(limits: BackpressureLimits, ingest: Lag, archive: Lag): number {
  const excess = Math.max(
    beyond(ingest.bytes, limits.ingestLagBytesMax),
    beyond(ingest.seconds, limits.ingestLagSecondsMax),
    beyond(archive.bytes, limits.archiveLagBytesMax),
    beyond(archive.seconds, limits.archiveLagSecondsMax),
  );
  return limits.delayMsMax * excess * excess;
}

/** 0 up to `limit`, 1 from twice of it on. */
function beyond(lag: number, limit: number): number {
  return limit === 0 ? 0 : Math.min(1, Math.max(0, (lag - limit) / limit));
}
