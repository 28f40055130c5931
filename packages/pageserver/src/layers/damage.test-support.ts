import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { ObjectTable } from '../key-space/object-table.ts';
import { ObjectKind } from '../key-space/object.ts';
import { BlockCache } from './block-cache.ts';
import { FileHandles } from './file-handles.ts';
import { localFileSystem } from './file-system.ts';
import { LayerFile } from './layer-file.ts';
import {
  INDEX_BLOCK_BYTES,
  IndexEntry,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  type LayerKind,
} from './layer-format.ts';
import { parseLayerName } from './layer-name.ts';
import { readSummary } from './layer-summary.ts';

/** Bytes [start, end) of a file. */
export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/** What a layer file is made of, in its order. */
export const LAYER_REGIONS = ['header', 'data', 'index block', 'summary', 'footer'] as const;

/** One of {@link LAYER_REGIONS}. */
export type LayerRegion = (typeof LAYER_REGIONS)[number];

/** Where a part of the sound layer file at `path` is: of its data one chunk, the newest of its first relation, of its index blocks the first. Each has a checksum of its own, and begins where damage in it is said to be. */
export function layerRegion(path: string, region: LayerRegion): FileRange {
  const bytes = readFileSync(path);
  const { indexOffset, summaryOffset } = readSummary({ bytes, source: path }, bytes.length);
  const footer = bytes.length - LAYER_FOOTER_BYTES;
  switch (region) {
    case 'header':
      return { start: 0, end: LAYER_HEADER_BYTES };
    case 'data':
      return lastChunkOf(path, ObjectKind.relation);
    case 'index block':
      return { start: indexOffset, end: indexOffset + INDEX_BLOCK_BYTES };
    case 'summary':
      return { start: summaryOffset, end: footer };
    case 'footer':
      return { start: footer, end: bytes.length };
    default:
      return region satisfies never;
  }
}

/** Where the last chunk of the first object of a kind is in the sound layer file at `path`. */
export function lastChunkOf(path: string, kind: ObjectKind): FileRange {
  // An object's name ends with the generation that wrote it.
  const name = parseLayerName(basename(path).replace(/-[0-9a-f]{8}$/, ''));
  if (name === undefined) throw new Error(`${path} is no layer`);
  const bytes = readFileSync(path);
  const objects = new ObjectTable();
  const access = {
    fileSystem: localFileSystem,
    handles: new FileHandles(localFileSystem, 1),
    indexBlocks: new BlockCache(0),
    nextLayerNumber: () => 1,
    uses: { count: 0 },
    canFetch: false,
  };
  try {
    const identity = { name, kind: bytes[6] as LayerKind, fileBytes: bytes.length };
    const layer = new LayerFile(access, path, identity, objects);
    const segment = layer.segments.find(({ object }) => objects.kind(object) === kind);
    if (segment === undefined) throw new Error(`${path} has no object of kind ${kind}`);
    const entry = new IndexEntry();
    layer.entry(segment.firstEntry + segment.entryCount - 1, entry);
    return { start: entry.offset, end: entry.offset + entry.length };
  } finally {
    access.handles.closeAll();
  }
}

/** Puts other content in the place of a file, and of no other that shares what it had: remote storage in a folder links the files of the disk. */
export function replaceFile(path: string, bytes: Uint8Array): void {
  rmSync(path);
  writeFileSync(path, bytes);
}

/** Flips a bit of a file. */
export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] as number) ^ 1;
  replaceFile(path, bytes);
}
