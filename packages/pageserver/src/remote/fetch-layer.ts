import type { TenantId, TimelineId } from '@zenith/base';
import { fetchObject, fetchRange } from '@zenith/remote-storage';
import type { FileSystem } from '../layers/file-system.ts';
import { tailBytesNeeded, type LayerTail } from '../layers/layer-summary.ts';
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

/** Bytes at the end of a layer that are asked for first: the summaries of most are shorter. Unit: bytes. */
const TAIL_BYTES = 64 * 1024;

/**
 * The last bytes of a layer, enough for its summary, which has its own checksum.
 * @throws CorruptionError naming the object; RemoteStorageError
 */
export async function fetchLayerTail(
  { storage, signal }: RemoteWriter,
  metrics: RemoteMetrics,
  { tenant, timeline, indexed, remote }: WantedLayer,
): Promise<LayerTail> {
  const { fileName, fileBytes } = indexed;
  const key = layerKey(tenant, timeline, fileName, remote.generation);
  const source = `${storage.name}: ${key}`;
  const fetch = async (length: number): Promise<LayerTail> => {
    const range = { start: fileBytes - length, end: fileBytes };
    const bytes = await fetchRange(storage, key, fileBytes, range, { signal });
    metrics.downloadedBytes.inc(length);
    return { bytes, source };
  };
  const tail = await fetch(Math.min(fileBytes, TAIL_BYTES));
  const needed = tailBytesNeeded(tail, fileBytes);
  return needed <= tail.bytes.length ? tail : fetch(needed);
}
