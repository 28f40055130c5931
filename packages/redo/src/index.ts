export { knowsRecord, redoBlock } from './redo-block.ts';
export { RedoError, type RedoErrorCode } from './errors.ts';
export { describeBlock, describeRecord, recordName } from './describe/describe-record.ts';
export { describeOperation } from './describe/describe-operation.ts';
export { recordNames } from './describe/record-names.ts';
export { checkConsistency, firstDifference, hasCheckImage, maskPage, type Inconsistency } from './masks/consistency.ts';
export { applyOperation } from './operations/apply-operation.ts';
export { OperationKind } from './operations/operation.ts';
export {
  MAX_IMPLIED_CLEARS,
  VisibilityMapClears,
  encodeVisibilityMapClears,
  impliedVisibilityMapClears,
} from './operations/implied-clears.ts';
export {
  appendVisibilityMapClear,
  encodeVisibilityMapTruncate,
  startVisibilityMapClear,
  visibilityMapBits,
} from './operations/visibility-map.ts';
export {
  appendTransaction,
  startTransactionStatus,
  visitTransactionStatus,
  type FinalTransactionStatus,
} from './operations/transaction-status.ts';
export {
  appendMultixactMember,
  appendMultixactOffset,
  nextMemberOffset,
  startMultixactMembers,
  startMultixactOffsets,
} from './operations/multixact.ts';
export { appendCommitTimestamp, startCommitTimestamps } from './operations/commit-timestamp.ts';
export { comparePages, type FieldChange, type PartChange } from './inspect/compare-pages.ts';
export { runsOf } from './inspect/runs.ts';
export { decodePage } from './inspect/decode-page.ts';
export type { DecodedPage, FieldValue, PagePart } from './inspect/decoded-page.ts';
export { pageResourceManager } from './inspect/page-kind.ts';
