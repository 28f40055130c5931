import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';

/** Up to where a safekeeper knows a timeline's WAL to be committed. */
export interface CommitPoint {
  readonly timeline: TimelineId;
  readonly commitLsn: Lsn;
}

/** Committed WAL that is read in order. */
export interface WalSource {
  /** The next bytes, the caller's. Rejects when there will be none. */
  next(): Promise<Uint8Array>;
  /** A {@link next} under way rejects. */
  close(): void;
}

/** Another safekeeper, as one that lacks WAL sees it. Everything rejects when it does not answer. */
export interface Peer {
  /** Its number, for messages. */
  readonly id: number;
  commitPoints(tenant: TenantId): Promise<readonly CommitPoint[]>;
  /** What its control file would say now; undefined when it does not know the timeline. */
  control(tenant: TenantId, timeline: TimelineId): Promise<AcceptorControl | undefined>;
  /** Begins to read. */
  openWal(tenant: TenantId, timeline: TimelineId, from: Lsn): Promise<WalSource>;
}
