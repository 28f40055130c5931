export {
  committedWal,
  copyVerdict,
  isNextPiece,
  type CommittedWal,
  type CopiedPiece,
  type CopyVerdict,
} from './acceptor/copy-rule.ts';
export { type AcceptorEffect, type AcceptorInput, type AcceptorStep, type RejectCode } from './acceptor/effect.ts';
export {
  createControl,
  startAcceptor,
  type AcceptorControl,
  type AcceptorState,
  type PeerId,
} from './acceptor/state.ts';
export { appendVerdict, stepAcceptor, type AppendVerdict } from './acceptor/step.ts';
export {
  allMembers,
  hasQuorum,
  isConfiguration,
  isMember,
  MEMBERS_MAX,
  nodeId,
  quorumLsn,
  quorumSize,
  type Configuration,
  type NodeId,
} from './configuration.ts';
export {
  abortedConfiguration,
  finalConfiguration,
  isSynced,
  jointConfiguration,
  syncPoint,
  type ConfiguredReport,
  type SyncPoint,
} from './membership/change.ts';
export {
  identityDifference,
  type AcceptorMessage,
  type AppendReply,
  type AppendRequest,
  type Elected,
  type Greeting,
  type GreetingReply,
  type ProposerMessage,
  type TimelineIdentity,
  type VoteReply,
  type VoteRequest,
} from './messages.ts';
export { comparePositions, mostAdvanced, walPosition, type WalPosition } from './position.ts';
export { ProposerCore } from './proposer/core.ts';
export { type ProposerEffect, type ProposerInput, type StopCode } from './proposer/effect.ts';
export {
  APPEND_BYTES_MAX_DEFAULT,
  COALESCE_BYTES_MAX_DEFAULT,
  INFLIGHT_BYTES_MAX_DEFAULT,
  progressOf,
  startProposer,
  type AcceptorProgress,
  type AcceptorStage,
  type ProposerOptions,
  type ProposerPhase,
  type ProposerState,
  type Vote,
} from './proposer/state.ts';
export { isOver, stepProposer, type ProposerStep } from './proposer/step.ts';
export {
  cutHistory,
  highestCommonPoint,
  historiesAgree,
  initialHistory,
  isTermHistory,
  lastEntry,
  lastTerm,
  TERM_HISTORY_LENGTH_MAX,
  type Term,
  type TermEntry,
  type TermHistory,
} from './term-history.ts';
