import { type Lsn } from '@zenith/base';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT } from '../key-space/object-table.ts';
import { findObject } from '../timeline/find-object.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { decodeBatch, type CommitBatch } from './commit-batch.ts';
import type { CommitMark } from './commit-tail.ts';
import { readCheckpointTime, type CommitTime } from './commit-time.ts';

/** CheckPoint.time. PG: pg_control.h. */
const CHECKPOINT_TIME = 64;

/** Above every time. */
const ANY_TIME = Number.MAX_SAFE_INTEGER as CommitTime;

/** A commit and the timeline whose WAL has it: the one that was asked, or an ancestor. */
export interface FoundCommit extends CommitMark {
  readonly state: TimelineState;
}

/**
 * The last commit of the timeline, or of what it has from its ancestors, that ends at or before `lsn`; undefined when there is none.
 * @param lsn at most what is ingested, here and as far as it reaches into ancestors
 * @throws CorruptionError; AbsentLayerError
 */
export function lastCommit(state: TimelineState, lsn: Lsn): FoundCommit | undefined {
  return commitAt(state, lsn, ANY_TIME);
}

/**
 * The last commit at or before `lsn` such that it and every commit before it has a time at or before `time`: where recovery with `recovery_target_time` would stop. PG: xlogrecovery.c,
 * recoveryStopsBefore(). Differs: aborts do not count. Undefined when the first commit is later, or when there is none.
 * @throws CorruptionError; AbsentLayerError
 */
export function commitAt(state: TimelineState, lsn: Lsn, time: CommitTime): FoundCommit | undefined {
  let limit = lsn;
  for (let at: TimelineState | undefined = state; at !== undefined; at = at.ancestor?.state) {
    const found = commitIn(at, limit, time);
    if (found !== undefined) return { ...found, state: at };
    if (at.ancestor !== undefined && at.ancestor.lsn < limit) limit = at.ancestor.lsn;
  }
  return undefined;
}

/** When the history of the first ancestor begins, by the clock of the cluster that was imported; undefined when it was made empty. @throws CorruptionError; AbsentLayerError */
export function historyBegin(state: TimelineState): FoundCommit | undefined {
  let root = state;
  while (root.ancestor !== undefined) root = root.ancestor.state;
  const object = findObject(root, ObjectKind.checkpoint, 0, 0, 0, 0);
  const bytes = object === NO_OBJECT ? undefined : root.shared.reader.readSmall(root, object, root.initialLsn);
  if (bytes === undefined || bytes.length < CHECKPOINT_TIME + 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { lsn: root.initialLsn, time: readCheckpointTime(view, CHECKPOINT_TIME), state: root };
}

/** As {@link commitAt}, among the timeline's own commits. */
function commitIn(state: TimelineState, limit: Lsn, time: CommitTime): CommitMark | undefined {
  const suits = (batch: CommitBatch): boolean =>
    (batch.lsns[0] as number) <= limit &&
    (batch.previousLsn === 0 || batch.timeBefore <= time || batch.previousLsn <= state.initialLsn);
  const { commitTail: tail } = state;
  if (tail !== undefined && tail.count > 0 && suits(tail)) {
    const found = lastIn(tail, limit, time, state.initialLsn);
    if (found !== undefined) return found;
  }
  // Batches and what precedes them are in order, by LSN and by time: the newest that suits is found by halving.
  let low: number = state.initialLsn;
  let high: number = Math.min(
    tail !== undefined && tail.count > 0 ? (tail.lsns[0] as number) - 1 : Number.POSITIVE_INFINITY,
    state.lastRecordLsn,
  );
  let best: CommitBatch | undefined;
  while (low < high) {
    const middle = (low + Math.ceil((high - low) / 2)) as Lsn;
    const batch = ownBatch(state, middle);
    if (batch === undefined || suits(batch)) {
      best = batch ?? best;
      low = middle;
    } else {
      high = (batch.lsns[0] as number) - 1;
    }
  }
  return best === undefined ? undefined : lastIn(best, limit, time, state.initialLsn);
}

/** The newest batch of the timeline's own that was stored at or before `lsn`. */
function ownBatch(state: TimelineState, lsn: Lsn): CommitBatch | undefined {
  const object = findObject(state, ObjectKind.commitTimes, 0, 0, 0, 0);
  const bytes = object === NO_OBJECT ? undefined : state.shared.reader.readSmall(state, object, lsn);
  if (bytes === undefined) return undefined;
  const batch = decodeBatch(bytes);
  // What was stored at or before the branch point is the ancestor's.
  return (batch.lsns[0] as number) > state.initialLsn ? batch : undefined;
}

/** The last commit of a batch, or the one before it, that is at or before `limit` and `time` with all before it. */
function lastIn(batch: CommitBatch, limit: Lsn, time: CommitTime, initialLsn: Lsn): CommitMark | undefined {
  let lsn = batch.previousLsn;
  let latest: number = lsn === 0 ? Number.NEGATIVE_INFINITY : batch.timeBefore;
  for (let i = 0; i < batch.count; i++) {
    const next = Math.max(latest, batch.times[i] as number);
    if ((batch.lsns[i] as number) > limit || next > time) break;
    latest = next;
    lsn = batch.lsns[i] as Lsn;
  }
  // The one before the first of a branch is its ancestor's: the ancestor knows best.
  if (lsn <= initialLsn || latest > time) return undefined;
  return { lsn, time: latest as CommitTime };
}
