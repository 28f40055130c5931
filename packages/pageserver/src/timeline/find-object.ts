import type { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId } from '../key-space/object-table.ts';
import { keysOfObject, requireOpen } from './require-layers.ts';
import type { TimelineView } from './view.ts';

/**
 * The id of an object, or NO_OBJECT when no layer and no put of the timeline or its ancestors has named it. The object table alone does not know: layers that are still closed may hold the object, and are opened for
 * that.
 * @throws AbsentLayerError; CorruptionError
 */
export function findObject(
  view: TimelineView,
  kind: ObjectKind,
  spc: number,
  db: number,
  rel: number,
  fork: number,
): ObjectId {
  const found = view.objects.find(kind, spc, db, rel, fork);
  if (found !== NO_OBJECT) return found;
  requireOpen(view, keysOfObject(kind, spc, db, rel, fork));
  return view.objects.find(kind, spc, db, rel, fork);
}
