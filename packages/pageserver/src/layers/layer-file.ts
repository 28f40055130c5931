import { CorruptionError, crc32c, type Lsn, readLsn } from '@zenith/base';
import type { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId, type ObjectTable } from '../key-space/object-table.ts';
import type { BlockCache, CachedBlock } from './block-cache.ts';
import type { FileHandles } from './file-handles.ts';
import type { FileSystem } from './file-system.ts';
import {
  BLOCK_CRC_OFFSET,
  ENTRIES_PER_BLOCK,
  FOOTER_MAGIC,
  INDEX_BLOCK_BYTES,
  INDEX_BLOCK_NUMBER_OFFSET,
  INDEX_ENTRY_BYTES,
  type IndexEntry,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  LAYER_MAGIC,
  LAYER_VERSION,
  type LayerKind,
  readIndexEntry,
  SUMMARY_FENCE_BYTES,
  SUMMARY_OBJECT_BYTES,
} from './layer-format.ts';
import type { LayerName } from './layer-name.ts';

/** Most index blocks of a layer: its block numbers share a number with the layer's in the block cache. */
const INDEX_BLOCKS_MAX = 1 << 20;

/** What reading layers needs and shares: one per store. */
export interface LayerAccess {
  readonly fileSystem: FileSystem;
  readonly handles: FileHandles;
  readonly indexBlocks: BlockCache;
  /** A number no other layer of this process has or had. */
  nextLayerNumber(): number;
  /** True: a layer file that is not here can be fetched. */
  readonly canFetch: boolean;
}

/** The entries of one object in a layer. */
export interface Segment {
  readonly layer: LayerFile;
  readonly object: ObjectId;
  readonly firstEntry: number;
  readonly entryCount: number;
  readonly firstBlock: number;
  readonly lastBlock: number;
}

/** Identity a layer file must have. */
export interface LayerIdentity {
  readonly name: LayerName;
  readonly kind: LayerKind;
  /** Size the file must have. Unit: bytes. */
  readonly fileBytes: number;
}

/**
 * An immutable layer file, open for reads. In memory it keeps the objects it holds and one fence per index block (48 bytes per 255 entries); index blocks come
 * through the shared cache, data through `pread`. Every byte used was checked against its CRC. Whatever is wrong with it is a CorruptionError that names file and offset.
 */
export class LayerFile {
  readonly path: string;
  readonly identity: LayerIdentity;
  /** This process's number of the layer. */
  readonly number: number;
  /** False: the file is not on this disk, and has to be fetched before anything in it can be found. */
  readonly isResident: boolean;
  /** Objects in key order; none while it is not resident. */
  readonly segments: readonly Segment[];
  /** Entries in the index. */
  readonly entryCount: number;
  /** Values in all chunks. */
  readonly valueCount: number;
  /** Where the index begins; the data end there. Unit: bytes. */
  readonly indexOffset: number;
  readonly #access: LayerAccess;
  readonly #fenceBlocks: Uint32Array;
  readonly #fenceLsns: Float64Array;

  /**
   * Opens a layer: reads its header, footer and summary, and interns its objects. One that is not here but can be fetched stays closed.
   * @throws CorruptionError naming the file and offset when it is not the layer that `identity` says
   */
  constructor(access: LayerAccess, path: string, identity: LayerIdentity, objects: ObjectTable) {
    this.#access = access;
    this.path = path;
    this.identity = identity;
    this.number = access.nextLayerNumber();
    const size = access.fileSystem.size(path);
    this.isResident = size !== undefined || !access.canFetch;
    if (!this.isResident) {
      this.segments = [];
      this.entryCount = 0;
      this.valueCount = 0;
      this.indexOffset = 0;
      this.#fenceBlocks = new Uint32Array(0);
      this.#fenceLsns = new Float64Array(0);
      return;
    }
    if (size === undefined) throw new CorruptionError('the layer file does not exist', { source: path });
    if (size !== identity.fileBytes)
      throw new CorruptionError(`the layer file should have ${identity.fileBytes} bytes but has ${size}`, {
        source: path,
        offset: Math.min(size, identity.fileBytes),
      });
    if (size < LAYER_HEADER_BYTES + LAYER_FOOTER_BYTES)
      throw new CorruptionError('the layer file is too short for a header and a footer', {
        source: path,
        offset: size,
      });
    this.#checkHeader();
    const footerOffset = size - LAYER_FOOTER_BYTES;
    const footer = this.#readSection(footerOffset, LAYER_FOOTER_BYTES);
    if (footer.getUint32(0, true) !== FOOTER_MAGIC) throw this.#corrupt('there is no footer', footerOffset);
    if (crc32c(bytesOf(footer), 0, LAYER_FOOTER_BYTES - 4) !== footer.getUint32(LAYER_FOOTER_BYTES - 4, true))
      throw this.#corrupt('the checksum of the footer is wrong', footerOffset);
    const objectCount = footer.getUint32(4, true);
    const indexBlockCount = footer.getUint32(12, true);
    const summaryOffset = readLsn(footer, 32);
    const summaryBytes = objectCount * SUMMARY_OBJECT_BYTES + indexBlockCount * SUMMARY_FENCE_BYTES;
    this.entryCount = footer.getUint32(8, true);
    this.valueCount = readLsn(footer, 16);
    this.indexOffset = readLsn(footer, 24);
    if (
      indexBlockCount !== Math.ceil(this.entryCount / ENTRIES_PER_BLOCK) ||
      indexBlockCount >= INDEX_BLOCKS_MAX ||
      summaryOffset !== this.indexOffset + indexBlockCount * INDEX_BLOCK_BYTES ||
      summaryOffset + summaryBytes !== footerOffset
    ) {
      throw this.#corrupt('the counts in the footer do not add up', footerOffset);
    }
    const summary = this.#readSection(summaryOffset, summaryBytes);
    if (crc32c(bytesOf(summary)) !== footer.getUint32(40, true))
      throw this.#corrupt('the checksum of the summary is wrong', summaryOffset);
    this.#fenceBlocks = new Uint32Array(indexBlockCount);
    this.#fenceLsns = new Float64Array(indexBlockCount);
    const fences = objectCount * SUMMARY_OBJECT_BYTES;
    for (let i = 0; i < indexBlockCount; i++) {
      this.#fenceBlocks[i] = summary.getUint32(fences + i * SUMMARY_FENCE_BYTES, true);
      this.#fenceLsns[i] = readLsn(summary, fences + i * SUMMARY_FENCE_BYTES + 8);
    }
    this.segments = this.#readSegments(summary, objectCount, objects, summaryOffset);
  }

  /** What the file's name says. */
  get name(): LayerName {
    return this.identity.name;
  }

  /** Memory kept for this layer while it is open. Unit: bytes, about. */
  get memoryBytes(): number {
    return this.segments.length * 96 + this.#fenceBlocks.length * 12;
  }

  /**
   * Finds the last entry of a segment that is at or below (block, lsn), whatever block it is of. Reads at most one index block.
   * @returns the entry's number, or -1 when all entries lie above
   */
  search(segment: Segment, block: number, lsn: Lsn): number {
    const first = segment.firstEntry;
    const end = first + segment.entryCount;
    // The fences after the block in which the segment begins are entries of the segment.
    let low = Math.floor(first / ENTRIES_PER_BLOCK);
    let high = Math.floor((end - 1) / ENTRIES_PER_BLOCK);
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const fenceBlock = this.#fenceBlocks[middle] as number;
      if (fenceBlock < block || (fenceBlock === block && (this.#fenceLsns[middle] as number) <= lsn)) low = middle;
      else high = middle - 1;
    }
    const cached = this.#indexBlock(low);
    const base = low * ENTRIES_PER_BLOCK;
    const view = cached.view;
    let from = Math.max(first, base) - base;
    let to = Math.min(end, base + ENTRIES_PER_BLOCK) - base;
    const floor = from;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const at = middle * INDEX_ENTRY_BYTES;
      const entryBlock = view.getUint32(at, true);
      if (entryBlock < block || (entryBlock === block && readLsn(view, at + 8) <= lsn)) from = middle + 1;
      else to = middle;
    }
    // Below everything in its index block only where the segment begins: then all of the segment lies above.
    return from === floor ? -1 : base + from - 1;
  }

  /** Decodes entry `index` of the layer's index. @throws CorruptionError when it points outside of the data */
  entry(index: number, into: IndexEntry): void {
    const number = Math.floor(index / ENTRIES_PER_BLOCK);
    const offset = (index - number * ENTRIES_PER_BLOCK) * INDEX_ENTRY_BYTES;
    readIndexEntry(this.#indexBlock(number).view, offset, into);
    if (into.offset < LAYER_HEADER_BYTES || into.offset + into.length > this.indexOffset || into.values === 0) {
      throw this.#corrupt(
        'an index entry points outside of the data',
        this.indexOffset + number * INDEX_BLOCK_BYTES + offset,
      );
    }
  }

  /** Reads `length` bytes at `offset` of the file into `into` at `intoOffset`, unchecked. @throws CorruptionError when the file is shorter */
  read(into: Uint8Array, intoOffset: number, length: number, offset: number): void {
    const count = this.#access.fileSystem.read(
      this.#access.handles.descriptor(this.path),
      into,
      intoOffset,
      length,
      offset,
    );
    if (count !== length) throw this.#corrupt('the layer file ends early', offset + count);
  }

  /** Checks the bytes of a chunk at `at` of `bytes`. @throws CorruptionError */
  check(
    bytes: Uint8Array,
    at: number,
    entry: { readonly offset: number; readonly length: number; readonly crc: number },
  ): void {
    if (crc32c(bytes, at, at + entry.length) !== entry.crc)
      throw this.#corrupt('the checksum of a chunk is wrong', entry.offset);
  }

  /** A CorruptionError in this file. */
  corruption(message: string, offset: number): CorruptionError {
    return this.#corrupt(message, offset);
  }

  #indexBlock(number: number): CachedBlock {
    const key = this.number * INDEX_BLOCKS_MAX + number;
    const known = this.#access.indexBlocks.get(key);
    if (known !== undefined) return known;
    const block = this.#access.indexBlocks.slot();
    const offset = this.indexOffset + number * INDEX_BLOCK_BYTES;
    this.read(block.bytes, 0, INDEX_BLOCK_BYTES, offset);
    if (crc32c(block.bytes, 0, BLOCK_CRC_OFFSET) !== block.view.getUint32(BLOCK_CRC_OFFSET, true))
      throw this.#corrupt('the checksum of an index block is wrong', offset);
    if (block.view.getUint32(INDEX_BLOCK_NUMBER_OFFSET, true) !== number)
      throw this.#corrupt('an index block is in the wrong place', offset);
    this.#access.indexBlocks.keep(key);
    return block;
  }

  #checkHeader(): void {
    const header = this.#readSection(0, LAYER_HEADER_BYTES);
    if (header.getUint32(0, true) !== LAYER_MAGIC) throw this.#corrupt('this is not a layer file', 0);
    if (header.getUint16(4, true) !== LAYER_VERSION)
      throw this.#corrupt(`layer format ${header.getUint16(4, true)} is not known here, only ${LAYER_VERSION}`, 4);
    if (crc32c(bytesOf(header), 0, BLOCK_CRC_OFFSET) !== header.getUint32(BLOCK_CRC_OFFSET, true))
      throw this.#corrupt('the checksum of the header is wrong', 0);
    const { name, kind } = this.identity;
    if (header.getUint8(6) !== kind || readLsn(header, 40) !== name.lsnStart || readLsn(header, 48) !== name.lsnEnd)
      throw this.#corrupt('the header is that of another layer', 6);
  }

  #readSegments(summary: DataView, count: number, objects: ObjectTable, summaryOffset: number): Segment[] {
    const segments: Segment[] = [];
    let nextEntry = 0;
    let last: ObjectId = NO_OBJECT;
    for (let i = 0; i < count; i++) {
      const at = i * SUMMARY_OBJECT_BYTES;
      const object = objects.intern(
        summary.getUint8(at) as ObjectKind,
        summary.getUint32(at + 4, true),
        summary.getUint32(at + 8, true),
        summary.getUint32(at + 12, true),
        summary.getUint8(at + 1),
      );
      const segment = {
        layer: this,
        object,
        firstEntry: summary.getUint32(at + 16, true),
        entryCount: summary.getUint32(at + 20, true),
        firstBlock: summary.getUint32(at + 24, true),
        lastBlock: summary.getUint32(at + 28, true),
      };
      if (
        segment.firstEntry !== nextEntry ||
        segment.entryCount === 0 ||
        (last !== NO_OBJECT && objects.compare(last, object) >= 0)
      )
        throw this.#corrupt('the objects of the summary are out of order', summaryOffset + at);
      nextEntry += segment.entryCount;
      last = object;
      segments.push(segment);
    }
    if (nextEntry !== this.entryCount)
      throw this.#corrupt('the objects of the summary do not have all entries', summaryOffset);
    return segments;
  }

  #readSection(offset: number, length: number): DataView {
    const bytes = new Uint8Array(length);
    this.read(bytes, 0, length, offset);
    return new DataView(bytes.buffer);
  }

  #corrupt(message: string, offset: number): CorruptionError {
    return new CorruptionError(message, { source: this.path, offset });
  }
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
