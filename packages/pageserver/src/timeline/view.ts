import type { Lsn } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import type { ObjectTable } from '../key-space/object-table.ts';
import type { InMemoryLayer } from '../layers/in-memory-layer.ts';
import type { LayerMap } from '../layers/layer-map.ts';

/** What reads see of a timeline: everything the read path works on, and nothing else. */
export interface TimelineView {
  /** This process's number of the timeline. */
  readonly number: number;
  readonly pgMajor: PgMajor;
  /** The tenant's objects. */
  readonly objects: ObjectTable;
  /** The open layer, if there is one, then the frozen ones, newest first. */
  readonly memoryLayers: readonly InMemoryLayer[];
  readonly layerMap: LayerMap;
  /** The timeline is being removed: nothing of it can be read any more. */
  readonly isRemoved: boolean;
  /** Everything up to here is in the layers. */
  readonly lastRecordLsn: Lsn;
  /** Start of the history that is kept, for a timeline without ancestor; the branch point of one with. */
  readonly initialLsn: Lsn;
  /** Below it nothing is kept but {@link retained}; 0 while everything is. */
  readonly gcCutoff: Lsn;
  /** LSNs below the cutoff that can be read all the same: leases. */
  readonly retained: ReadonlySet<Lsn>;
  /** Whose history up to which LSN this timeline shares. */
  readonly ancestorView: { readonly view: TimelineView; readonly lsn: Lsn } | undefined;
}
