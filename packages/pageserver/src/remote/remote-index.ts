import { CorruptionError } from '@zenith/base';
import { decodeCheckedJson, encodeCheckedJson } from '../timeline/checked-json.ts';
import { decodeIndex, encodeIndex, type TimelineIndex } from '../timeline/timeline-index.ts';
import type { IndexNumber } from './object-keys.ts';

/** Where a layer file is in remote storage, and what it must be. */
export interface RemoteLayer {
  /** Part of its key: the generation that wrote it. */
  readonly generation: number;
  /** CRC-32C of the whole file. */
  readonly crc32c: number;
}

/** An index in remote storage: the timeline's own, and where its layers are. */
export interface RemoteIndex extends IndexNumber {
  /** The data directory that wrote it. */
  readonly writer: string;
  readonly index: TimelineIndex;
  /** By file name; one for each layer of `index`. */
  readonly layers: ReadonlyMap<string, RemoteLayer>;
}

/** Longest index that is read: some 160,000 layers. Unit: bytes. */
export const REMOTE_INDEX_BYTES_MAX = 64 * 1024 * 1024;

const FORMAT = 1;

interface Body {
  readonly format: number;
  readonly writer: string;
  readonly generation: number;
  readonly sequence: number;
  /** The text of the local index.json. */
  readonly index: string;
  readonly layers: Record<string, RemoteLayer>;
}

/** The bytes of an index object: JSON with a checksum, as index.json is; `body.index` is the text of that file. The same index gives the same bytes. */
export function encodeRemoteIndex(remote: RemoteIndex): Uint8Array {
  const body: Body = {
    format: FORMAT,
    writer: remote.writer,
    generation: remote.generation,
    sequence: remote.sequence,
    index: new TextDecoder().decode(encodeIndex(remote.index)),
    layers: Object.fromEntries(remote.layers),
  };
  return encodeCheckedJson(body);
}

/** Reads an index object. @param source names it in errors @throws CorruptionError */
export function decodeRemoteIndex(bytes: Uint8Array, source: string): RemoteIndex {
  const corrupt = (message: string): CorruptionError => new CorruptionError(message, { source });
  // What a right checksum covers is as encodeRemoteIndex() wrote it, if its format is known.
  const body = decodeCheckedJson(bytes, 'the index', source) as unknown as Body;
  if (body.format !== FORMAT) throw corrupt(`index format ${body.format} is not known here, only ${FORMAT}`);
  const index = decodeIndex(new TextEncoder().encode(body.index), source);
  const layers = new Map(Object.entries(body.layers));
  for (const { fileName } of index.layers)
    if (!layers.has(fileName)) throw corrupt(`the index does not say where layer ${fileName} is`);
  const { writer, generation, sequence } = body;
  return { writer, generation, sequence, index, layers };
}
