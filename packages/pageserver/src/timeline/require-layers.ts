import { ObjectKind } from '../key-space/object.ts';
import { STORED_KEY_MAX, storedKey, type KeyRange } from '../key-space/stored-key.ts';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import type { TimelineView } from './view.ts';

/** Most layers that one {@link AbsentLayerError} names: so many are fetched before the next look. */
const LAYERS_AT_ONCE = 64;

/**
 * Opens every layer that may hold keys of the range, in the timeline and in its ancestors: else an object in it is not known to the object table.
 * @throws AbsentLayerError; CorruptionError
 */
export function requireOpen(view: TimelineView, keys: KeyRange): void {
  requireNone(view, keys, undefined);
}

/**
 * Holds that every layer with anything but pages of relations is on this disk, in the timeline and in its ancestors: ingest looks at it in the middle of a record, and compaction everywhere. They are never evicted.
 * @throws AbsentLayerError
 */
export function requireSmallObjects(view: TimelineView): void {
  requireNone(view, SMALL_KEYS, (layer) => !layer.isResident && holdsSmallObjects(view, layer));
}

/** True when a layer has anything but pages of relations; when it is closed, true when it may. */
export function holdsSmallObjects({ objects }: Pick<TimelineView, 'objects'>, layer: LayerFile): boolean {
  if (!layer.isOpen) return layer.name.keys.end > SMALL_KEYS.start;
  const last = layer.segments.at(-1);
  return last !== undefined && objects.kind(last.object) !== ObjectKind.relation;
}

function requireNone(view: TimelineView, keys: KeyRange, isMissing: ((layer: LayerFile) => boolean) | undefined): void {
  const missing: LayerFile[] = [];
  for (let at: TimelineView | undefined = view; at !== undefined; at = at.ancestorView?.view) {
    for (const tier of at.layerMap.tiers) {
      missing.push(...tier.open(keys, at.objects));
      if (isMissing !== undefined) missing.push(...tier.layers.filter((layer) => layer.isOpen && isMissing(layer)));
      if (missing.length >= LAYERS_AT_ONCE) break;
    }
  }
  if (missing.length > 0) throw new AbsentLayerError(missing.slice(0, LAYERS_AT_ONCE));
}

/** The keys of one object. */
export function keysOfObject(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): KeyRange {
  return {
    start: storedKey(kind, spc, db, rel, fork, 0),
    end: storedKey(kind, spc, db, rel, fork + 1, 0),
  };
}

/** The keys of all objects of a kind. */
export function keysOfKind(kind: ObjectKind): KeyRange {
  return { start: storedKey(kind, 0, 0, 0, 0, 0), end: storedKey(kind + 1, 0, 0, 0, 0, 0) };
}

/** Every key there can be. */
export const ALL_KEYS: KeyRange = { start: storedKey(0, 0, 0, 0, 0, 0), end: STORED_KEY_MAX };

/** The keys of everything but pages of relations. */
export const SMALL_KEYS: KeyRange = { start: storedKey(ObjectKind.relation + 1, 0, 0, 0, 0, 0), end: STORED_KEY_MAX };
