import type { Lsn } from '@zenith/base';
import type { Configuration } from '../configuration.ts';
import type { CommittedWal, CopyVerdict, CopiedPiece } from './copy-rule.ts';
import type { ConfiguredReport } from '../membership/change.ts';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, VoteRequest } from '../messages.ts';
import type { Term } from '../term-history.ts';
import type { AcceptorControl, AcceptorState, PeerId } from './state.ts';

/** What happens to an acceptor. */
export type AcceptorInput =
  | { readonly type: 'message'; readonly from: PeerId; readonly message: Greeting | VoteRequest | Elected }
  /**
   * WAL to append. `recordLsn` is the end of the last whole record once the bytes are added, found by the shell's decoder; it matters only when
   * {@link appendVerdict} accepts, so the shell asks that first and feeds the decoder nothing that will not be written.
   */
  | { readonly type: 'append'; readonly from: PeerId; readonly message: AppendRequest; readonly recordLsn: Lsn }
  /** No leader is known here, and another acceptor has committed WAL: this one may have it, too. Answered by the effect `followed`. */
  | { readonly type: 'follow'; readonly source: CommittedWal }
  /** A piece of the WAL that is followed, which {@link isNextPiece} must hold for: the shell's decoder has seen it. */
  | { readonly type: 'copied'; readonly source: CommittedWal; readonly piece: CopiedPiece }
  /** A sync that was requested is done: bytes below `syncedLsn` are durable, `flushLsn` is the end of the last whole record among them. */
  | { readonly type: 'flushed'; readonly syncedLsn: Lsn; readonly flushLsn: Lsn }
  /** A consumer or the backup got further. */
  | { readonly type: 'progress'; readonly remoteConsistentLsn: Lsn; readonly backupLsn: Lsn }
  /** WAL below is to be let go; it is committed, a consumer has it in durable layers and the archive has it. */
  | { readonly type: 'trim'; readonly localStartLsn: Lsn }
  /** Whoever changes the membership installs `configuration`, and a term that the WAL's position is to be taken in: 0 for none. */
  | { readonly type: 'configure'; readonly configuration: Configuration; readonly term: Term }
  /** A proposer's connection is gone. */
  | { readonly type: 'disconnected'; readonly peer: PeerId };

/** Why an acceptor refuses a message. Closed union. */
export type RejectCode =
  /** The greeting is for another tenant, timeline, version, cluster, segment size or start. */
  | 'identity-mismatch'
  /** The sender is in another configuration. */
  | 'generation-mismatch'
  /** WAL from a proposer of this term, or of a newer one, whose Elected was not accepted on this connection. */
  | 'not-elected'
  /** The history gives a term a start that differs from the one known here. */
  | 'conflicting-history'
  /** The start in an Elected is not the highest common point. The proposer worked from an old report: it connects again. */
  | 'wrong-start'
  /** The truncation would drop committed WAL: a violated invariant somewhere. Never done. */
  | 'committed-wal'
  /** An append leaves a gap or overwrites. */
  | 'not-contiguous';

/**
 * What the shell does, in the order given, each completed before the next (and before the next input); `requestFlush` alone completes later, with the input `flushed`. When an
 * effect fails the rest is not done and the acceptor stops: nothing may be sent that is not durable.
 */
export type AcceptorEffect =
  /** Replace the control file, durably. */
  | { readonly type: 'persistControl'; readonly control: AcceptorControl }
  /** Cut the WAL at `lsn`, zero what followed, durably. A flush in flight is awaited first and its `flushed` dropped. */
  | { readonly type: 'truncateWal'; readonly lsn: Lsn }
  /** Write the bytes of the append at hand. */
  | { readonly type: 'writeWal'; readonly beginLsn: Lsn; readonly endLsn: Lsn }
  /** Make everything written durable, now. */
  | { readonly type: 'syncWal' }
  /** Make everything written durable soon; many requests may share one sync. */
  | { readonly type: 'requestFlush' }
  | { readonly type: 'send'; readonly to: PeerId; readonly message: AcceptorMessage }
  /** Answers the `configure` at hand. */
  | { readonly type: 'configured'; readonly report: ConfiguredReport }
  /** Answers the `follow` at hand: `copy` when the pieces behind the WAL's end may come. */
  | { readonly type: 'followed'; readonly verdict: CopyVerdict }
  /** Consumers may have WAL up to here. */
  | { readonly type: 'commitAdvanced'; readonly commitLsn: Lsn }
  /** Close that connection with this reason. */
  | { readonly type: 'reject'; readonly to: PeerId; readonly code: RejectCode; readonly reason: string };

/** A new state and what must be done, in order, before it counts. */
export interface AcceptorStep {
  readonly state: AcceptorState;
  readonly effects: readonly AcceptorEffect[];
}
