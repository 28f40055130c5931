import { CorruptionError } from '@zenith/base';
import { checksumFile, type ExpectedObject } from '@zenith/remote-storage';
import { ObjectTable } from '../key-space/object-table.ts';
import { BlockCache } from '../layers/block-cache.ts';
import { FileHandles } from '../layers/file-handles.ts';
import type { FileSystem } from '../layers/file-system.ts';
import { LayerCursor } from '../layers/layer-cursor.ts';
import { LayerFile } from '../layers/layer-file.ts';
import { parseLayerName } from '../layers/layer-name.ts';
import { DEFAULT_STORAGE_OPTIONS } from '../timeline/options.ts';
import { runInSlices, type SlicedWork } from '../timeline/slices.ts';
import type { IndexedLayer } from '../timeline/timeline-index.ts';

/**
 * What a layer file's checksum must be: that of the bytes that were written, not of those that a disk gives back. A layer from before indexes had it is read, and every checksum in it
 * compared, after its own was taken: what rots later is not what was taken.
 * @throws CorruptionError naming the file; what the file system throws; the signal's reason
 */
export async function layerChecksum(
  fileSystem: FileSystem,
  path: string,
  indexed: IndexedLayer,
  signal: AbortSignal,
): Promise<number> {
  if (indexed.crc32c !== undefined) return indexed.crc32c;
  const { crc32c } = await checksumFile(path, signal);
  await verify(fileSystem, path, indexed, signal);
  return crc32c;
}

/** True when the file at `path` has this length and checksum; false also when the disk does not give it. @throws the signal's reason */
export async function isLayerFile(path: string, expected: ExpectedObject, signal: AbortSignal): Promise<boolean> {
  try {
    const { length, crc32c } = await checksumFile(path, signal);
    return length === expected.length && crc32c === expected.crc32c;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error) || !('syscall' in error)) throw error;
    return false;
  }
}

async function verify(
  fileSystem: FileSystem,
  path: string,
  { fileName, kind, fileBytes }: IndexedLayer,
  signal: AbortSignal,
): Promise<void> {
  const name = parseLayerName(fileName);
  if (name === undefined) throw new CorruptionError(`'${fileName}' is no layer's name`);
  const handles = new FileHandles(fileSystem, 1);
  const access = {
    fileSystem,
    handles,
    indexBlocks: new BlockCache(0),
    nextLayerNumber: () => 1,
    uses: { count: 0 },
    canFetch: false,
  };
  try {
    const layer = new LayerFile(access, path, { name, kind, fileBytes }, new ObjectTable());
    const { sliceMs } = DEFAULT_STORAGE_OPTIONS;
    await runInSlices(readValues(layer), { sliceMs, now: () => performance.now(), signal });
  } finally {
    handles.closeAll();
  }
}

/** Every byte of a layer file is header, chunk, index block, summary or footer; each has its checksum. */
function* readValues(layer: LayerFile): SlicedWork<void> {
  const cursor = new LayerCursor(layer);
  while (cursor.next()) {
    cursor.forEachValue(() => undefined);
    yield undefined;
  }
}
