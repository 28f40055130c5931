import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import type { Configuration, NodeId } from './configuration.ts';
import type { Term, TermHistory } from './term-history.ts';

/** What a timeline is a WAL of. Set when a safekeeper first hears of the timeline, never changed. */
export interface TimelineIdentity {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** PostgreSQL major version. */
  readonly pgMajor: number;
  readonly systemId: SystemId;
  /** Size of a WAL segment. Unit: bytes. */
  readonly segmentSize: number;
  /** Where the timeline's own WAL begins: a record boundary. Older WAL belongs to its ancestor. */
  readonly timelineStartLsn: Lsn;
}

const IDENTITY_FIELDS: readonly (keyof TimelineIdentity)[] = [
  'tenant',
  'timeline',
  'pgMajor',
  'systemId',
  'segmentSize',
  'timelineStartLsn',
];

/** The first field in which two timelines differ, null when they are the same. */
export function identityDifference(a: TimelineIdentity, b: TimelineIdentity): keyof TimelineIdentity | null {
  return IDENTITY_FIELDS.find((field) => a[field] !== b[field]) ?? null;
}

/** Proposer → acceptor, first on a connection: who I am, of which timeline, in which configuration. */
export interface Greeting {
  readonly type: 'greeting';
  readonly identity: TimelineIdentity;
  readonly configuration: Configuration;
}

/** Acceptor → proposer: the configuration it is in now and the highest term it has seen. */
export interface GreetingReply {
  readonly type: 'greetingReply';
  readonly node: NodeId;
  readonly configuration: Configuration;
  readonly term: Term;
}

/** Proposer → acceptor: vote for me in `term`, or, from an elected proposer, tell me where your WAL stands. */
export interface VoteRequest {
  readonly type: 'voteRequest';
  readonly generation: number;
  readonly term: Term;
}

/** Acceptor → proposer. Everything but `granted` is reported whether the vote was granted or not. */
export interface VoteReply {
  readonly type: 'voteReply';
  readonly generation: number;
  /** The acceptor's term, after the vote. */
  readonly term: Term;
  readonly granted: boolean;
  /** Record-aligned end of the WAL on disk; stable, since the WAL was synced before. */
  readonly flushLsn: Lsn;
  readonly commitLsn: Lsn;
  readonly peerHorizonLsn: Lsn;
  /** Cut to entries with `startLsn <= flushLsn`. */
  readonly history: TermHistory;
}

/** Proposer → acceptor: I lead `term`; your WAL up to `startLsn` is mine, drop the rest; the WAL's history is `history`. */
export interface Elected {
  readonly type: 'elected';
  readonly generation: number;
  readonly term: Term;
  /** This acceptor's highest common point, where streaming to it begins. */
  readonly startLsn: Lsn;
  readonly history: TermHistory;
}

/** Proposer → acceptor: WAL `[beginLsn, endLsn)`, whose bytes travel beside the message; empty to report a commit or to probe. */
export interface AppendRequest {
  readonly type: 'appendRequest';
  readonly generation: number;
  readonly term: Term;
  readonly beginLsn: Lsn;
  readonly endLsn: Lsn;
  /** What a quorum has; may lie ahead of what this acceptor has. */
  readonly commitLsn: Lsn;
  /** Every acceptor has the WAL below. */
  readonly peerHorizonLsn: Lsn;
  /** Asks for a reply although the request is empty. One that carries WAL is always answered, after it is durable. */
  readonly probe: boolean;
}

/** Acceptor → proposer: how far it is; or, with a higher term, that the proposer was superseded. */
export interface AppendReply {
  readonly type: 'appendReply';
  readonly generation: number;
  readonly term: Term;
  /** All bytes below are durable: how much may be in flight is counted from here. */
  readonly writeLsn: Lsn;
  /** Record-aligned end of the durable WAL: the commit point is computed from it. */
  readonly flushLsn: Lsn;
  readonly commitLsn: Lsn;
  /** Up to here a consumer of the WAL has stored it durably elsewhere. */
  readonly remoteConsistentLsn: Lsn;
}

/** What a proposer sends. */
export type ProposerMessage = Greeting | VoteRequest | Elected | AppendRequest;

/** What an acceptor sends. */
export type AcceptorMessage = GreetingReply | VoteReply | AppendReply;
