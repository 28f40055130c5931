import type { TenantId, TimelineId } from '@zenith/base';
import { fetchObject } from '@zenith/remote-storage';
import type { FileSystem } from '../layers/file-system.ts';
import type { IndexedLayer } from '../timeline/timeline-index.ts';
import type { RemoteWriter } from './attach.ts';
import type { RemoteMetrics } from './metrics.ts';
import { layerKey } from './object-keys.ts';
import type { RemoteLayer } from './remote-index.ts';

/** A layer file to be brought to the local disk. */
export interface WantedLayer {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly layersDirectory: string;
  readonly indexed: IndexedLayer;
  readonly remote: RemoteLayer;
}

/**
 * Brings a layer file to its place: written beside it, checked, synced, renamed. Its index names it already, so that a file that is there is whole.
 * @throws CorruptionError naming the object; RemoteStorageError; what the file system throws
 */
export async function fetchLayer(
  writer: RemoteWriter,
  fileSystem: FileSystem,
  metrics: RemoteMetrics,
  wanted: WantedLayer,
): Promise<void> {
  const { tenant, timeline, layersDirectory, indexed, remote } = wanted;
  const path = `${layersDirectory}/${indexed.fileName}`;
  const temporary = `${path}.incoming`;
  let fd: number | undefined;
  const close = (): void => {
    if (fd !== undefined) fileSystem.close(fd);
    fd = undefined;
  };
  const sink = {
    begin: () => {
      close();
      if (fileSystem.size(temporary) !== undefined) fileSystem.unlink(temporary);
      fd = fileSystem.create(temporary);
    },
    write: (chunk: Uint8Array) => fileSystem.write(fd as number, chunk, 0, chunk.length),
  };
  const key = layerKey(tenant, timeline, indexed.fileName, remote.generation);
  const expected = { length: indexed.fileBytes, crc32c: remote.crc32c };
  try {
    await fetchObject(writer.storage, key, expected, sink, { signal: writer.signal });
    close();
    await fileSystem.sync(temporary);
    await fileSystem.rename(temporary, path);
    await fileSystem.syncDirectory(layersDirectory);
  } finally {
    close();
    if (fileSystem.size(temporary) !== undefined) fileSystem.unlink(temporary);
  }
  metrics.downloadedLayers.inc();
  metrics.downloadedBytes.inc(indexed.fileBytes);
}
