import { formatLsn, type Lsn } from '@zenith/base';
import { StorageError } from './errors.ts';
import type { TimelineView } from './view.ts';

/**
 * Holds that `lsn` can be read: it is ingested, here and as far as a read reaches into ancestors, and lies within the kept history. An ancestor may lag behind its branch after a
 * restart; what is rebuilt without its last records would be a wrong page, so that everything that rebuilds asks this first, background work too.
 * @throws StorageError `lsn-not-available`, `no-such-timeline` when it was removed
 */
export function requireLsn(view: TimelineView, lsn: Lsn): void {
  let limit = lsn;
  if (view.isRemoved) throw new StorageError('no-such-timeline', 'the timeline was removed');
  let isBranchPoint = false;
  for (let at = view; ;) {
    if (limit > at.lastRecordLsn)
      throw new StorageError(
        'lsn-not-available',
        `LSN ${formatLsn(limit)} is not ingested yet: ${formatLsn(at.lastRecordLsn)} is`,
      );
    // What branches need of an ancestor is kept at their branch points.
    if (limit < at.gcCutoff && !isBranchPoint && !at.retained.has(limit)) throw notKept(limit, at.gcCutoff);
    const ancestor = at.ancestorView;
    if (ancestor === undefined) {
      if (limit < at.initialLsn) throw notKept(limit, at.initialLsn);
      return;
    }
    isBranchPoint = ancestor.lsn <= limit;
    if (isBranchPoint) limit = ancestor.lsn;
    at = ancestor.view;
  }
}

function notKept(limit: Lsn, begin: Lsn): StorageError {
  return new StorageError(
    'lsn-not-available',
    `LSN ${formatLsn(limit)} lies below the kept history, which begins at ${formatLsn(begin)}`,
  );
}

/** True when everything that `view` shares with its ancestors is in their layer files. */
export function ancestorsAreFlushed(view: TimelineView): boolean {
  let limit: Lsn = view.initialLsn;
  for (let ancestor = view.ancestorView; ancestor !== undefined; ancestor = ancestor.view.ancestorView) {
    if (ancestor.lsn < limit) limit = ancestor.lsn;
    // Ancestors that lag have memory layers yet to come.
    if (ancestor.view.lastRecordLsn < limit) return false;
    if (ancestor.view.memoryLayers.some((layer) => layer.lsnStart <= limit)) return false;
  }
  return true;
}

/** True when no ancestor lags behind the branch points that lead to `view`. */
export function ancestorsAreIngested(view: TimelineView): boolean {
  let limit: Lsn = view.initialLsn;
  for (let ancestor = view.ancestorView; ancestor !== undefined; ancestor = ancestor.view.ancestorView) {
    if (ancestor.lsn < limit) limit = ancestor.lsn;
    if (ancestor.view.lastRecordLsn < limit) return false;
  }
  return true;
}
