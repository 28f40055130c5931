import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { LayerTail } from '../layers/layer-summary.ts';
import type { TimelineIndex } from './timeline-index.ts';

/** Names the layer file of a timeline. */
export interface RemoteLayerName {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly layersDirectory: string;
  readonly fileName: string;
}

/** What the storage engine and remote storage say to each other. Without it a store lives on its local disk alone. */
export interface RemoteLayers {
  /**
   * `index` is durable on the local disk, and so are the layers it names, here or in remote storage, which is to have all of it. Called in order, once when a timeline is opened and then after every change of its
   * layers. A layer that a later index does not name may be gone from the local disk.
   */
  indexWritten(layersDirectory: string, index: TimelineIndex): void;
  /**
   * Brings a layer file that an index names to its place on the local disk, in one step, instead of what may be there. One call for a layer at a time.
   * @throws CorruptionError; RemoteStorageError; what the file system throws
   */
  fetch(layer: RemoteLayerName): Promise<void>;
  /**
   * True when the file on the local disk has the length and the checksum of what {@link fetch} would bring: it would be the same again. Reads all of it.
   * @throws CorruptionError; RemoteStorageError
   */
  isAsFetched(layer: RemoteLayerName): Promise<boolean>;
  /**
   * The last bytes of a layer, enough for its summary.
   * @throws CorruptionError; RemoteStorageError
   */
  fetchTail(layer: RemoteLayerName): Promise<LayerTail>;
  /** True when the newest index in remote storage, which counts, names the layer: this disk may lose it. */
  isDurable(tenant: TenantId, timeline: TimelineId, fileName: string): boolean;
  /** Has `listener` called whenever {@link isDurable} may say more than before. */
  whenDurable(listener: () => void): void;
  /** What of the tenant remote storage has, or may have, and that is not here, for a message; undefined when there is no such thing. Nobody knows what it needs of the others. */
  unknownTimeline(tenant: TenantId): string | undefined;
  /**
   * Removes everything of a timeline that is gone from the local disk; harmless when there is nothing.
   * @throws PageserverError `superseded` when it belongs to a newer generation; RemoteStorageError
   */
  remove(tenant: TenantId, timeline: TimelineId): Promise<void>;
  /** Everything up to here survives the loss of the local disk; 0 while nothing is known to. */
  remoteConsistentLsn(tenant: TenantId, timeline: TimelineId): Lsn;
}
