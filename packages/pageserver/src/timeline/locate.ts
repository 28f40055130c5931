import type { Lsn } from '@zenith/base';
import type { ObjectId } from '../key-space/object-table.ts';
import { isBase, type ValueKind } from '../key-space/value.ts';
import type { InMemoryLayer } from '../layers/in-memory-layer.ts';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { NO_ENTRY } from '../layers/key-heads.ts';
import type { Tier } from '../layers/layer-map.ts';
import type { ReadPlan } from './read-plan.ts';
import type { TimelineView } from './view.ts';

/** The floor of a read that has no rebuilt page to start from: below every LSN. */
export const NO_FLOOR = -1 as Lsn;

/**
 * Adds to `plan` the pieces that rebuild (object, block) at `lsn`, newest first, down to the first base, or down to `floor`, the LSN of a rebuilt page the caller has.
 * Looks at memory and indexes only. A chunk added may hold values at or below `floor` or above its limit.
 * @returns true when the base or the floor was reached, false when history ended before
 * @throws CorruptionError from an index block; AbsentLayerError when a layer that is not on this disk may hold a piece
 */
export function locate(
  view: TimelineView,
  object: ObjectId,
  block: number,
  lsn: Lsn,
  floor: Lsn,
  plan: ReadPlan,
): boolean {
  let at: TimelineView = view;
  let limit = lsn;
  for (;;) {
    for (const layer of at.memoryLayers) {
      if (layer.lsnStart <= limit && locateInMemory(layer, object, block, limit, floor, plan)) return true;
    }
    for (const tier of at.layerMap.tiers) {
      if (tier.lsnStart > limit) continue;
      if (tier.lsnEnd <= floor) return true;
      if (tier.isPartlyClosed) requireOpenAt(at, tier, object, block);
      if (locateInTier(tier, object, block, limit, floor, plan)) return true;
    }
    const ancestor = at.ancestorView;
    if (ancestor === undefined) return false;
    if (ancestor.lsn < limit) limit = ancestor.lsn;
    at = ancestor.view;
  }
}

/** Opens the layer of a tier that may hold (object, block). @throws AbsentLayerError; CorruptionError */
export function requireOpenAt(view: TimelineView, tier: Tier, object: ObjectId, block: number): void {
  const absent = tier.openAt(object, block, view.objects);
  if (absent !== undefined) throw new AbsentLayerError([absent]);
}

function locateInMemory(
  layer: InMemoryLayer,
  object: ObjectId,
  block: number,
  limit: Lsn,
  floor: Lsn,
  plan: ReadPlan,
): boolean {
  const { value } = plan;
  let next = layer.head(object, block);
  while (next !== NO_ENTRY) {
    layer.entry(next, value);
    if (value.lsn <= limit) {
      if (value.lsn <= floor) return true;
      plan.addValue(value);
      if (isBase(value.kind)) return true;
    }
    next = value.previous;
  }
  return false;
}

function locateInTier(tier: Tier, object: ObjectId, block: number, limit: Lsn, floor: Lsn, plan: ReadPlan): boolean {
  const segment = tier.segment(object, block);
  if (segment === undefined) return false;
  const { layer } = segment;
  const { entry } = plan;
  for (let index = layer.search(segment, block, limit); index >= segment.firstEntry; index--) {
    layer.entry(index, entry);
    if (entry.block !== block) return false;
    // A chunk of one value, which the caller has: not even fetched.
    if (entry.values === 1 && entry.firstLsn <= floor) return true;
    plan.addChunk(layer, entry, limit);
    if (isBase(entry.firstKind as ValueKind) || entry.firstLsn <= floor) return true;
  }
  return false;
}
