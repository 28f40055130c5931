import type { LayerFile } from '../layers/layer-file.ts';
import { STORED_KEY_MAX, type KeyRange, storedKey } from '../key-space/stored-key.ts';
import type { ObjectKind } from '../key-space/object.ts';
import { StorageError } from './errors.ts';
import type { TimelineView } from './view.ts';

/** A read needs a layer that is not on this disk: the caller has it fetched and reads again. Nothing has changed by the attempt. */
export class AbsentLayerError extends StorageError {
  /** Whose layer it is: the timeline that is read, or an ancestor. */
  readonly view: TimelineView;
  readonly layer: LayerFile;

  constructor(view: TimelineView, layer: LayerFile) {
    super('layer-absent', `layer ${layer.path} is not on this disk yet: try again`);
    this.view = view;
    this.layer = layer;
  }
}

/**
 * Holds that every layer that may hold keys of the range is here, in the timeline and in its ancestors: else an object in it is not known to the object table.
 * @throws AbsentLayerError
 */
export function requireKeys(view: TimelineView, keys: KeyRange): void {
  for (let at: TimelineView | undefined = view; at !== undefined; at = at.ancestorView?.view) {
    for (const tier of at.layerMap.tiers) {
      if (tier.absent.length === 0) continue;
      const layer = tier.absentIn(keys);
      if (layer !== undefined) throw new AbsentLayerError(at, layer);
    }
  }
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
