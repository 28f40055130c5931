import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checksumFile } from '@zenith/remote-storage';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LAYER_FOOTER_BYTES, LAYER_HEADER_BYTES } from '../layers/layer-format.ts';
import { TENANT, timelineId, unsyncedFileSystem } from '../timeline/storage-model.test-support.ts';
import { timelineDirectory } from '../timeline/store-layout.ts';
import { decodeIndex, INDEX_FILE, type IndexedLayer } from '../timeline/timeline-index.ts';
import { layersDirectory } from '../timeline/timeline-state.ts';
import { layerChecksum } from './layer-checksum.ts';
import { close, play, RemoteLab } from './remote-lab.test-support.ts';

let lab: RemoteLab;
/** Where the layers of a timeline are, and what its index says of them. */
let directory: string;
let layers: readonly IndexedLayer[];
beforeEach(async () => {
  lab = await RemoteLab.create();
  const node = await lab.open('data', 1);
  await play(node);
  await close(node);
  const folder = timelineDirectory(node.dataDirectory, TENANT, timelineId(1));
  directory = layersDirectory(folder);
  const path = join(folder, INDEX_FILE);
  layers = decodeIndex(readFileSync(path), path).layers;
});
afterEach(() => lab.remove());

const { signal } = new AbortController();

/** As an index from before it had checksums of layers names it. */
const unchecked = (layer: IndexedLayer): IndexedLayer => ({ ...layer, crc32c: undefined });

test('an index has the checksum of every layer file, whatever wrote it', async () => {
  expect(new Set(layers.map(({ kind, level }) => `${kind} ${level}`)).size).toBeGreaterThan(1);
  expect(layers.map(({ fileName }) => fileName).toSorted()).toEqual(readdirSync(directory).toSorted());
  for (const { fileName, fileBytes, crc32c } of layers)
    expect(await checksumFile(join(directory, fileName))).toEqual({ length: fileBytes, crc32c });
});

test('the checksum of a layer whose index has none is that of the file, unless a byte of it is not as it was written', async () => {
  const last = layers.at(-1) as IndexedLayer;
  for (const layer of layers) {
    const path = join(directory, layer.fileName);
    expect(await layerChecksum(unsyncedFileSystem, path, unchecked(layer), signal)).toBe(layer.crc32c);
  }
  const path = join(directory, last.fileName);
  const sound = readFileSync(path);
  const step = Math.ceil(sound.length / 60);
  const ends = [0, LAYER_HEADER_BYTES - 1, LAYER_HEADER_BYTES, sound.length - LAYER_FOOTER_BYTES, sound.length - 1];
  for (const at of [...ends, ...Array.from({ length: Math.floor(sound.length / step) }, (_, i) => i * step)]) {
    const bytes = Uint8Array.from(sound);
    bytes[at] = (bytes[at] as number) ^ 0x10;
    writeFileSync(path, bytes);
    await expect(
      layerChecksum(unsyncedFileSystem, path, unchecked(last), signal),
      `byte ${at} of ${sound.length}`,
    ).rejects.toThrow(path);
  }
});
