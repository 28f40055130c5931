import type { ObjectId } from '../key-space/object-table.ts';
import type { LayerFile, Segment } from './layer-file.ts';
import { CHUNK_BYTES, IndexEntry, readValueHeader, VALUE_HEADER_BYTES, ValueHeader } from './layer-format.ts';
import type { Lsn } from '@zenith/base';

/** How much of a layer is read ahead. Unit: bytes. */
const READ_AHEAD_BYTES = 256 * 1024;

/** Takes the values of a chunk; the bytes are borrowed during the call. */
export type VisitValue = (
  lsn: Lsn,
  kind: number,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
) => void;

/** Walks a layer file from its first chunk to its last with large sequential reads. Stands on a chunk until `next` is called. */
export class LayerCursor {
  readonly layer: LayerFile;
  /** The chunk's entry. */
  readonly entry = new IndexEntry();
  #segmentIndex = 0;
  #entryIndex = -1;
  #buffer = new Uint8Array(READ_AHEAD_BYTES);
  #view = new DataView(this.#buffer.buffer);
  #unpacked = new Uint8Array(2 * CHUNK_BYTES);
  #unpackedView = new DataView(this.#unpacked.buffer);
  /** The file's bytes [#bufferStart, #bufferEnd) are in the buffer. */
  #bufferStart = 0;
  #bufferEnd = 0;
  readonly #header = new ValueHeader();

  /** Stands before the first chunk. */
  constructor(layer: LayerFile) {
    this.layer = layer;
  }

  /** The chunk's object. */
  get object(): ObjectId {
    return (this.layer.segments[this.#segmentIndex] as Segment).object;
  }

  /** The chunk's block. */
  get block(): number {
    return this.entry.block;
  }

  /** Goes to the next chunk. Returns false after the last. @throws CorruptionError */
  next(): boolean {
    this.#entryIndex++;
    if (this.#entryIndex >= this.layer.entryCount) return false;
    const segment = this.layer.segments[this.#segmentIndex] as Segment;
    if (this.#entryIndex >= segment.firstEntry + segment.entryCount) this.#segmentIndex++;
    this.layer.entry(this.#entryIndex, this.entry);
    return true;
  }

  /** Calls `visit` for each value of the chunk, in order. @throws CorruptionError */
  forEachValue(visit: VisitValue): void {
    const { entry, layer } = this;
    const start = this.#require(entry.offset, entry.length);
    layer.check(this.#buffer, start, entry);
    if (!entry.isPacked) {
      this.#visitChunk(visit, this.#buffer, this.#view, start, entry.length);
      return;
    }
    const length = layer.unpackedLength(this.#buffer, start, entry.length, entry.offset);
    if (length > this.#unpacked.length) {
      this.#unpacked = new Uint8Array(length);
      this.#unpackedView = new DataView(this.#unpacked.buffer);
    }
    layer.unpack(this.#buffer, start, entry.length, entry.offset, this.#unpacked, 0, length);
    this.#visitChunk(visit, this.#unpacked, this.#unpackedView, 0, length);
  }

  #visitChunk(visit: VisitValue, bytes: Uint8Array, view: DataView, start: number, length: number): void {
    const { entry, layer } = this;
    if (entry.values === 1) {
      visit(entry.firstLsn, entry.firstKind, bytes, view, start, length);
      return;
    }
    const end = start + length;
    const header = this.#header;
    for (let at = start; at < end; at += header.length) {
      if (at + VALUE_HEADER_BYTES > end) throw layer.corruption('a chunk ends within a value', entry.offset);
      readValueHeader(view, at, header);
      at += VALUE_HEADER_BYTES;
      if (header.length > end - at) throw layer.corruption('a value reaches beyond its chunk', entry.offset);
      visit(header.lsn, header.kind, bytes, view, at, header.length);
    }
  }

  #require(offset: number, length: number): number {
    if (offset < this.#bufferStart || offset + length > this.#bufferEnd) {
      if (length > this.#buffer.length) {
        this.#buffer = new Uint8Array(length);
        this.#view = new DataView(this.#buffer.buffer);
      }
      const want = Math.min(this.#buffer.length, this.layer.indexOffset - offset);
      this.layer.read(this.#buffer, 0, want, offset);
      this.#bufferStart = offset;
      this.#bufferEnd = offset + want;
    }
    return offset - this.#bufferStart;
  }
}
