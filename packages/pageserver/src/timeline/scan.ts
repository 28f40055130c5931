import { assert, type Lsn } from '@zenith/base';
import { ObjectKind } from '../key-space/object.ts';
import { keysOfKind, requireOpen } from './require-layers.ts';
import type { TimelineState } from './timeline-state.ts';

/** Names an object in its kind. */
export interface ScannedKey {
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
}

/** Restricts a scan to objects with this spc and, when given, this db. */
export interface ScanPrefix {
  readonly spc: number;
  readonly db?: number;
}

/** Takes one object of a scan and its content, which is the visitor's. */
export type ScanVisit = (key: ScannedKey, value: Uint8Array) => void;

/**
 * Visits, in key order, the small objects of a kind whose content at `lsn` is not empty. The tenant's object table names every object that any layer has, so that a scan is
 * one look-up for each: about a microsecond. @throws CorruptionError; AbsentLayerError
 */
export function scanObjects(
  state: TimelineState,
  kind: ObjectKind,
  lsn: Lsn,
  visit: ScanVisit,
  prefix?: ScanPrefix,
): void {
  assert(kind !== ObjectKind.relation && kind !== ObjectKind.slru, 'a scan is of small objects');
  const { objects, shared } = state;
  requireOpen(state, keysOfKind(kind));
  const { spc, db } = prefix ?? {};
  for (const object of objects.sorted(kind).slice()) {
    if ((spc !== undefined && objects.spc(object) !== spc) || (db !== undefined && objects.db(object) !== db)) continue;
    const value = shared.reader.readSmall(state, object, lsn);
    if (value === undefined || value.length === 0) continue;
    visit(
      { spc: objects.spc(object), db: objects.db(object), rel: objects.rel(object), fork: objects.fork(object) },
      value.slice(),
    );
  }
}
