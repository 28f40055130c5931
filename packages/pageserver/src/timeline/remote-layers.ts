import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { TimelineIndex } from './timeline-index.ts';

/** What the storage engine and remote storage say to each other. Without it a store lives on its local disk alone. */
export interface RemoteLayers {
  /**
   * `index` is durable on the local disk, and so are the layers it names: remote storage is to have all of it. Called in order, once when a timeline is opened and then after every change of its
   * layers. A layer that a later index does not name may be gone from the local disk.
   */
  indexWritten(layersDirectory: string, index: TimelineIndex): void;
  /**
   * Brings a layer file that an index names to its place on the local disk; several calls for one share the work.
   * @throws CorruptionError; RemoteStorageError; what the file system throws
   */
  fetch(tenant: TenantId, timeline: TimelineId, layersDirectory: string, fileName: string): Promise<void>;
  /** Everything up to here survives the loss of the local disk; 0 while nothing is known to. */
  remoteConsistentLsn(tenant: TenantId, timeline: TimelineId): Lsn;
}
