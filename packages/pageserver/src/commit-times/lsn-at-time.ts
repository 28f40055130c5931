import { type Lsn } from '@zenith/base';
import { StorageError } from '../timeline/errors.ts';
import { requireLsn } from '../timeline/require-lsn.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import type { CommitTime } from './commit-time.ts';
import { commitAt, historyBegin, lastCommit, type FoundCommit } from './find-commit.ts';

/**
 * Where a timeline was at a point in time: the end of the last commit such that it and all commits before it have times at or before `time`. Exact to the commit; a later time never gives an earlier LSN,
 * whatever the servers' clocks did. The history that a branch has from its ancestors is looked through as well: the LSN is then the ancestor's.
 * @throws StorageError `time-before-history`, `time-after-last-commit`; `lsn-not-available` while an ancestor lags; CorruptionError
 */
export function lsnAtTime(state: TimelineState, time: CommitTime): FoundCommit {
  const end: Lsn = state.lastRecordLsn;
  requireLsn(state, end);
  const begin = historyBegin(state);
  const last = lastCommit(state, end) ?? begin;
  if (last !== undefined && time > last.time)
    throw new StorageError(
      'time-after-last-commit',
      `${shown(time)} lies after the last commit, which was at ${shown(last.time)}: what was committed by then cannot be told yet`,
    );
  const found = commitAt(state, end, time) ?? (begin !== undefined && begin.time <= time ? begin : undefined);
  const kept = found === undefined ? undefined : keptPosition(found);
  if (kept !== undefined) return kept;
  throw new StorageError('time-before-history', `${shown(time)} lies before the history that is kept`);
}

/** A position that is kept and has the same commits: the found one, or the cutoff when no commit lies between; undefined when there is none. */
function keptPosition(found: FoundCommit): FoundCommit | undefined {
  const { gcCutoff } = found.state;
  if (found.lsn >= gcCutoff) return found;
  const last = lastCommit(found.state, gcCutoff);
  return last === undefined || last.lsn <= found.lsn ? { ...found, lsn: gcCutoff } : undefined;
}

/** A time for people: in UTC, to the microsecond. */
function shown(time: CommitTime): string {
  const micros = String(((time % 1000) + 1000) % 1000).padStart(3, '0');
  return `${new Date(Math.floor(time / 1000)).toISOString().slice(0, -1).replace('T', ' ')}${micros} UTC`;
}
