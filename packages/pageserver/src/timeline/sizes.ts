import type { Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { scanObjects } from './scan.ts';
import type { TimelineState } from './timeline-state.ts';

/** How large a timeline is, by three measures. Unit: bytes. */
export interface TimelineSizes {
  /** What PostgreSQL's files take at its end: relations and SLRUs. */
  readonly logicalBytes: number;
  /** Its own WAL of which every point can be read. */
  readonly historyBytes: number;
  /** Its layers that no branch of it reads. */
  readonly uniqueBytes: number;
}

/**
 * Measures a timeline at its last record.
 * @param sharedUpTo the last LSN at which a branch leaves it; undefined when none does
 * @throws CorruptionError; AbsentLayerError
 */
export function timelineSizes(state: TimelineState, sharedUpTo: Lsn | undefined): TimelineSizes {
  const lsn = state.lastRecordLsn;
  let blocks = 0;
  for (const kind of [ObjectKind.relationSize, ObjectKind.slruSize])
    scanObjects(state, kind, lsn, (_, value) => {
      blocks += new DataView(value.buffer, value.byteOffset).getUint32(0, true);
    });
  let uniqueBytes = 0;
  for (const { layer } of state.layerMap.placed)
    if (sharedUpTo === undefined || layer.name.lsnStart > sharedUpTo) uniqueBytes += layer.identity.fileBytes;
  return { logicalBytes: blocks * BLCKSZ, historyBytes: lsn - Math.max(state.initialLsn, state.gcCutoff), uniqueBytes };
}
