import { INVALID_LSN, type Lsn } from '@zenith/base';
import { allMembers, type Configuration, type NodeId } from '../configuration.ts';
import type { TimelineIdentity } from '../messages.ts';
import type { Term, TermHistory } from '../term-history.ts';

/** What a proposer is started with. Plain data. */
export interface ProposerOptions {
  readonly identity: TimelineIdentity;
  readonly configuration: Configuration;
  /** `lead`: win a term and stream WAL. `sync`: win a term only to learn, and make durable on a quorum, where the WAL ends. */
  readonly mode: 'lead' | 'sync';
  /** Where the data directory at hand begins to write; null when it will be built after the election. An election that ends elsewhere stops the proposer. */
  readonly expectedStartLsn: Lsn | null;
  /** Most WAL in one AppendRequest. Unit: bytes. */
  readonly appendBytesMax: number;
  /** Most WAL sent to one acceptor and not yet durable there. Unit: bytes. */
  readonly inflightBytesMax: number;
  /**
   * While WAL is under way to an acceptor, less than this waits for its acknowledgement and goes in one piece then; 0 sends everything at once. Commits that come during one sync share the next either way; this saves the
   * messages in between. Unit: bytes.
   */
  readonly coalesceBytesMax: number;
}

/** Default for {@link ProposerOptions.appendBytesMax}: four messages of PostgreSQL's walsender. */
export const APPEND_BYTES_MAX_DEFAULT = 512 * 1024;

/** Default for {@link ProposerOptions.inflightBytesMax}. */
export const INFLIGHT_BYTES_MAX_DEFAULT = 16 * 1024 * 1024;

/** Default for {@link ProposerOptions.coalesceBytesMax}. */
export const COALESCE_BYTES_MAX_DEFAULT = 64 * 1024;

/**
 * Where the proposer is with one acceptor.
 *   offline → connected (greeting sent) → greeted → voting (vote requested) → voted → streaming (Elected sent)
 */
export type AcceptorStage = 'offline' | 'connected' | 'greeted' | 'voting' | 'voted' | 'streaming';

/** What a vote said. It outlives the connection: the acceptor keeps its word. */
export interface Vote {
  readonly flushLsn: Lsn;
  readonly commitLsn: Lsn;
  readonly peerHorizonLsn: Lsn;
  readonly history: TermHistory;
}

/** What the proposer knows of one acceptor. */
export interface AcceptorProgress {
  readonly node: NodeId;
  readonly stage: AcceptorStage;
  /** Its vote in the proposer's term, if it gave one. */
  readonly vote: Vote | null;
  /** Next byte to send; meaningful while streaming. */
  readonly nextLsn: Lsn;
  /** Durable bytes it acknowledged; meaningful while streaming. */
  readonly writeLsn: Lsn;
  /** Record-aligned WAL it acknowledged in this term after Elected, null before. Outlives the connection: it is on that acceptor's disk. */
  readonly flushLsn: Lsn | null;
  /** Commit LSN it was last told. */
  readonly sentCommitLsn: Lsn;
  /** What it last said of its consumers. */
  readonly remoteConsistentLsn: Lsn;
}

/**
 *   greeting ─quorum greeted─► voting ─quorum of votes─► leading ─higher term─► fenced
 *                                │ ▲                       │ (mode sync: start committed)
 *                  refused, or a │ │ electionDue           ▼
 *                    higher term ▼ │                      done       (anything that cannot be: stopped)
 *                              backoff
 */
export type ProposerPhase = 'greeting' | 'voting' | 'backoff' | 'leading' | 'done' | 'fenced' | 'stopped';

/** State of a proposer: plain data, never changed in place. */
export interface ProposerState {
  readonly options: ProposerOptions;
  readonly phase: ProposerPhase;
  /** The term asked for or led; 0 before the first election. */
  readonly term: Term;
  /** Highest term any acceptor reported. */
  readonly termSeen: Term;
  /** Elections begun so far. */
  readonly elections: number;
  /** One for each node of the configuration, ascending. */
  readonly acceptors: readonly AcceptorProgress[];
  /** Set once elected: the donor's history and this term. */
  readonly history: TermHistory | null;
  /** The voter whose WAL this term continues. */
  readonly donor: NodeId | null;
  /** Where this term's WAL begins. */
  readonly startLsn: Lsn;
  /** End of the WAL there is to send; at least `startLsn`. */
  readonly availableLsn: Lsn;
  /** A quorum has it. Never decreases. */
  readonly commitLsn: Lsn;
  /** Every acceptor has the WAL below. */
  readonly peerHorizonLsn: Lsn;
  /** True once `commitLsn >= startLsn`: the history is settled up to where this term begins. */
  readonly synced: boolean;
}

// States are copied field by field, as the acceptor's are.

/** `state` with some of it replaced. */
export function proposerWith(state: ProposerState, change: Partial<ProposerState>): ProposerState {
  return {
    options: change.options ?? state.options,
    phase: change.phase ?? state.phase,
    term: change.term ?? state.term,
    termSeen: change.termSeen ?? state.termSeen,
    elections: change.elections ?? state.elections,
    acceptors: change.acceptors ?? state.acceptors,
    history: change.history === undefined ? state.history : change.history,
    donor: change.donor === undefined ? state.donor : change.donor,
    startLsn: change.startLsn ?? state.startLsn,
    availableLsn: change.availableLsn ?? state.availableLsn,
    commitLsn: change.commitLsn ?? state.commitLsn,
    peerHorizonLsn: change.peerHorizonLsn ?? state.peerHorizonLsn,
    synced: change.synced ?? state.synced,
  };
}

/** `progress` with some of it replaced. */
export function progressWith(progress: AcceptorProgress, change: Partial<AcceptorProgress>): AcceptorProgress {
  return {
    node: change.node ?? progress.node,
    stage: change.stage ?? progress.stage,
    vote: change.vote === undefined ? progress.vote : change.vote,
    nextLsn: change.nextLsn ?? progress.nextLsn,
    writeLsn: change.writeLsn ?? progress.writeLsn,
    flushLsn: change.flushLsn === undefined ? progress.flushLsn : change.flushLsn,
    sentCommitLsn: change.sentCommitLsn ?? progress.sentCommitLsn,
    remoteConsistentLsn: change.remoteConsistentLsn ?? progress.remoteConsistentLsn,
  };
}

/** What is known of the members of a configuration before any was met. */
export function unmetAcceptors(configuration: Configuration): readonly AcceptorProgress[] {
  return allMembers(configuration).map((node) => ({
    node,
    stage: 'offline',
    vote: null,
    nextLsn: INVALID_LSN,
    writeLsn: INVALID_LSN,
    flushLsn: null,
    sentCommitLsn: INVALID_LSN,
    remoteConsistentLsn: INVALID_LSN,
  }));
}

/** A proposer that has met nobody yet. */
export function startProposer(options: ProposerOptions): ProposerState {
  return {
    options,
    phase: 'greeting',
    term: 0,
    termSeen: 0,
    elections: 0,
    acceptors: unmetAcceptors(options.configuration),
    history: null,
    donor: null,
    startLsn: INVALID_LSN,
    availableLsn: INVALID_LSN,
    commitLsn: INVALID_LSN,
    peerHorizonLsn: INVALID_LSN,
    synced: false,
  };
}

/** The progress of `node`, undefined when it is not in the configuration. */
export function progressOf(state: ProposerState, node: NodeId): AcceptorProgress | undefined {
  return state.acceptors.find((acceptor) => acceptor.node === node);
}
