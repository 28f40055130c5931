import type { Lsn } from '@zenith/base';
import type { Configuration, NodeId } from '../configuration.ts';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, VoteRequest } from '../messages.ts';
import type { Term, TermHistory } from '../term-history.ts';

/** What happens to a proposer. */
export type ProposerInput =
  /** A connection to the acceptor is open and takes messages. */
  | { readonly type: 'connected'; readonly node: NodeId }
  /** That connection is gone; messages of it must not be delivered any more. */
  | { readonly type: 'disconnected'; readonly node: NodeId }
  /** A message from the acceptor on its present connection. */
  | { readonly type: 'message'; readonly node: NodeId; readonly message: AcceptorMessage }
  /** The delay asked for with `scheduleElection` is over. */
  | { readonly type: 'electionDue' }
  /** The compute has written WAL up to `endLsn`; the first WAL begins at `startLsn`. */
  | { readonly type: 'wal'; readonly endLsn: Lsn }
  /** From time to time (about once a second): probes the acceptors, so that an idle proposer hears of a higher term. */
  | { readonly type: 'tick' };

/** Why a proposer ended without having been fenced. Closed union. */
export type StopCode =
  /** The election ended at another LSN than the data directory begins at: rebuild it there. */
  | 'start-mismatch'
  /** Acceptors report what the protocol excludes, for example a commit beyond the quorum's WAL. A person must look. */
  | 'inconsistent-quorum';

/** What the shell does, in order. Nothing here needs durability on the proposer's side: a proposer keeps nothing. */
export type ProposerEffect =
  | { readonly type: 'send'; readonly to: NodeId; readonly message: Greeting | VoteRequest | Elected }
  /**
   * Send `request` with its bytes. Effects for one acceptor are sent in the order given; those with bytes from disk or from a donor may take a while, and hold back
   * only that acceptor. `donor` null: the bytes come from the compute. Otherwise the WAL lies before this term's start and is read from that safekeeper, which gives it
   * only while its term is `request.term`. When the bytes cannot be had the shell closes the acceptor's connection and connects again.
   */
  | { readonly type: 'append'; readonly to: NodeId; readonly request: AppendRequest; readonly donor: NodeId | null }
  /** Close the connection to that acceptor; the shell may connect again after a delay. */
  | { readonly type: 'disconnect'; readonly node: NodeId; readonly reason: string }
  /** Give the input `electionDue` after a random delay that grows with `attempt` (1, 2, …), so that two candidates do not outbid each other for ever. */
  | { readonly type: 'scheduleElection'; readonly attempt: number }
  /** A quorum voted: this proposer leads `term`, whose WAL begins at `startLsn`, on top of the donor's. */
  | {
      readonly type: 'elected';
      readonly term: Term;
      readonly startLsn: Lsn;
      readonly donor: NodeId;
      readonly history: TermHistory;
    }
  /** All WAL below `startLsn` is committed: a compute may start there. In mode `sync` the work is done. Once. */
  | { readonly type: 'synced'; readonly startLsn: Lsn }
  /** A quorum has the WAL below: commits that wait for it may be released. */
  | { readonly type: 'commitAdvanced'; readonly commitLsn: Lsn }
  /** Another proposer has a higher term. PostgreSQL must be stopped at once; the proposer is over. */
  | { readonly type: 'fenced'; readonly term: Term }
  /**
   * An acceptor is in a newer configuration, and so is this proposer from here on: a leader leads on in its term, a candidate begins anew. All connections were given up before; the shell connects to the members of `configuration`, and
   * to nobody else. A shell that cannot ends.
   */
  | { readonly type: 'reconfigured'; readonly configuration: Configuration }
  /** The proposer is over. */
  | { readonly type: 'stopped'; readonly code: StopCode; readonly reason: string };
