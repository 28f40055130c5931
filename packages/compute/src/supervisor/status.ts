import { formatLsn, type Lsn } from '@zenith/base';
import type { Lag } from '../backpressure/limits.ts';

/**
 *   starting ─► running ─► stopping ─► stopped          asked to stop
 *      │        │  ▲ ├───► fenced                       a later compute took over
 *      │        ▼  │ │                                  PostgreSQL crashed: everything is built anew
 *      │     restarting ─► stopped, fenced
 *      └────────┴────┴───► failed                       anything that cannot go on
 */
export type SupervisorState = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped' | 'fenced' | 'failed';

/** How far what follows the WAL lags, and what that does to commits. */
export interface BackpressureStatus {
  /** How long the acknowledgement of a commit is held back now. Unit: seconds. */
  readonly delaySeconds: number;
  /** How many commit points were held back so far. */
  readonly heldCount: number;
  readonly ingestLag: Lag;
  readonly archiveLag: Lag;
}

/** What a supervisor knows about its compute. */
export interface SupervisorStatus {
  readonly state: SupervisorState;
  /** X; undefined before the election. */
  readonly startLsn: Lsn | undefined;
  /** What a quorum has: covers every commit that was acknowledged, before a restart too. Never goes back. */
  readonly commitLsn: Lsn | undefined;
  /** End of the WAL that came from PostgreSQL. */
  readonly receivedLsn: Lsn | undefined;
  readonly term: number;
  /** How often PostgreSQL crashed and was built anew under this supervisor. */
  readonly restarts: number;
  /** Undefined while no WAL flows. */
  readonly backpressure?: BackpressureStatus | undefined;
  readonly postgresPort: number;
  readonly postgresPid: number | undefined;
  /** One line for a person: what is going on, or what went wrong. */
  readonly message: string;
}

/** The status as the HTTP interface gives it: LSNs as text, null for what is not known. */
export function statusToJson(status: SupervisorStatus): Record<string, string | number | null> {
  const text = (position: Lsn | undefined): string | null => (position === undefined ? null : formatLsn(position));
  return {
    state: status.state,
    startLsn: text(status.startLsn),
    commitLsn: text(status.commitLsn),
    receivedLsn: text(status.receivedLsn),
    term: status.term,
    restarts: status.restarts,
    postgresPort: status.postgresPort,
    postgresPid: status.postgresPid ?? null,
    message: status.message,
  };
}
