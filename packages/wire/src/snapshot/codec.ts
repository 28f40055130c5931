/*
 * A snapshot of what a data directory holds besides relation pages, as one stream of bytes:
 *
 *   magic u32 LE @0 = 0x504E535A ("ZSNP") | manifest length u32 LE @4 | manifest, JSON in UTF-8 @8 | the files' bytes, in the manifest's order
 */
import { CorruptionError } from '@zenith/base';
import { manifestFromJson, manifestToJson, type SnapshotFile, type SnapshotManifest } from './manifest.ts';

const MAGIC = 0x504e535a;
const HEADER_SIZE = 8;

/** Longest manifest that is read: about three million relation forks. Unit: bytes. */
const MANIFEST_BYTES_MAX = 128 * 1024 * 1024;

/** One part of a decoded snapshot: first the manifest, then every file of it in order. `bytes` belong to the receiver. */
export type SnapshotPart =
  | { readonly kind: 'manifest'; readonly manifest: SnapshotManifest }
  | { readonly kind: 'file'; readonly file: SnapshotFile; readonly bytes: Uint8Array };

/** Header and manifest, in a buffer of its own; the files' bytes are to follow it. */
export function encodeSnapshotHeader(manifest: SnapshotManifest): Uint8Array {
  const json = new TextEncoder().encode(manifestToJson(manifest));
  const bytes = new Uint8Array(HEADER_SIZE + json.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, json.length, true);
  bytes.set(json, HEADER_SIZE);
  return bytes;
}

/** Takes exact numbers of bytes out of a stream of chunks of any size; memory grows only with bytes that arrived. */
class ChunkReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next `length` bytes in a buffer of their own. @throws CorruptionError when the stream ends before them */
  async take(length: number, what: string): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let missing = length; missing > 0;) {
      if (this.#position === this.#chunk.length) {
        const next = await this.#source.next();
        if (next.done === true)
          throw new CorruptionError(`snapshot ended ${missing} bytes before the end of ${what}`, {
            source: 'snapshot',
          });
        this.#chunk = next.value;
        this.#position = 0;
        continue;
      }
      const piece = this.#chunk.subarray(this.#position, this.#position + missing);
      this.#position += piece.length;
      missing -= piece.length;
      pieces.push(piece);
    }
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const piece of pieces) {
      bytes.set(piece, offset);
      offset += piece.length;
    }
    return bytes;
  }

  /** True when no byte is left. */
  async ended(): Promise<boolean> {
    while (this.#position === this.#chunk.length) {
      const next = await this.#source.next();
      if (next.done === true) return true;
      this.#chunk = next.value;
      this.#position = 0;
    }
    return false;
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/**
 * Decodes a snapshot from chunks of any size. Yields the manifest, then each file whole; at most one file is held in memory. Nothing in it is
 * trusted: lengths are bounded before anything is allocated, paths stay inside of the data directory.
 * @throws CorruptionError on bytes that are not a snapshot, or on a truncated or too long stream
 */
export async function* decodeSnapshot(source: AsyncIterable<Uint8Array>): AsyncGenerator<SnapshotPart, void, void> {
  const reader = new ChunkReader(source);
  try {
    const header = await reader.take(HEADER_SIZE, 'the header');
    const view = new DataView(header.buffer);
    if (view.getUint32(0, true) !== MAGIC)
      throw new CorruptionError('not a snapshot: wrong magic', { source: 'snapshot', offset: 0 });
    const length = view.getUint32(4, true);
    if (length > MANIFEST_BYTES_MAX)
      throw new CorruptionError(`snapshot manifest of ${length} bytes is above the bound of ${MANIFEST_BYTES_MAX}`, {
        source: 'snapshot',
        offset: 4,
      });
    const manifest = manifestFromJson(new TextDecoder().decode(await reader.take(length, 'the manifest')));
    yield { kind: 'manifest', manifest };
    for (const file of manifest.files) yield { kind: 'file', file, bytes: await reader.take(file.size, file.path) };
    if (!(await reader.ended()))
      throw new CorruptionError('snapshot goes on after its last file', { source: 'snapshot' });
  } finally {
    await reader.close();
  }
}
