import { CorruptionError, crc32c, type Lsn, readLsn } from '@zenith/base';
import { NO_OBJECT, type ObjectId, type ObjectTable } from '../key-space/object-table.ts';
import { AbsentLayerError } from './absent-layer-error.ts';
import type { BlockCache, CachedBlock } from './block-cache.ts';
import { DamagedLayerError } from './damaged-layer-error.ts';
import type { FileHandles } from './file-handles.ts';
import type { FileSystem } from './file-system.ts';
import {
  BLOCK_CRC_OFFSET,
  ENTRIES_PER_BLOCK,
  INDEX_BLOCK_BYTES,
  INDEX_BLOCK_NUMBER_OFFSET,
  INDEX_ENTRY_BYTES,
  type IndexEntry,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  LAYER_MAGIC,
  LAYER_VERSION,
  LAYER_VERSION_MIN,
  type LayerKind,
  readIndexEntry,
} from './layer-format.ts';
import type { LayerName } from './layer-name.ts';
import type { LayerResidency } from './layer-residency.ts';
import { INDEX_BLOCKS_MAX, type LayerSummary, type LayerTail, readSummary, tailBytesNeeded } from './layer-summary.ts';
import { unpackChunk, unpackedLength } from './packed-chunk.ts';

/** What reading layers needs and shares: one per store. */
export interface LayerAccess {
  readonly fileSystem: FileSystem;
  readonly handles: FileHandles;
  readonly indexBlocks: BlockCache;
  /** A number no other layer of this process has or had. */
  nextLayerNumber(): number;
  /** Counts the reads of layer files; each layer keeps the number of its last one. */
  readonly uses: { count: number };
  /** True: a layer file that is not here can be fetched. */
  readonly canFetch: boolean;
}

/** Of layers that are closed: there may be 100,000. */
const [NO_BLOCKS, NO_LSNS] = [new Uint32Array(0), new Float64Array(0)];
const NO_SEGMENTS: readonly Segment[] = [];

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
  /** CRC-32C of the whole file as it was written, where it is known; reads have checksums of their own. */
  readonly crc32c?: number | undefined;
}

/**
 * An immutable layer file. In memory it keeps the objects it holds and one fence per index block (48 bytes per 255 entries); index blocks come through the shared cache, data through `pread`. Every byte used
 * was checked against its CRC. Whatever is wrong with it is a CorruptionError that names file and offset.
 *
 * After a start it is closed: nobody knows yet what is in it. It is opened when a look-up may need it, by its file, or, where layers can be fetched and this one is not on this disk, by the last bytes of it alone.
 */
export class LayerFile implements LayerResidency {
  readonly path: string;
  readonly identity: LayerIdentity;
  /** This process's number of the layer. */
  readonly number: number;
  /** Objects in key order; none while it is closed. */
  segments: readonly Segment[] = NO_SEGMENTS;
  /** Entries in the index. */
  entryCount = 0;
  /** Values in all chunks. */
  valueCount = 0;
  /** Bytes of all chunks, unpacked. */
  dataBytes = 0;
  /** Where the index begins; the data end there. Unit: bytes. */
  indexOffset = 0;
  /** Number of the last read of its file among those of all layers. */
  lastUse = 0;
  /** While positive the file is not to be removed from this disk: somebody who had it fetched has not read it yet. */
  holds = 0;
  /** What was wrong with the file on this disk; it is used no more, and may be fetched. */
  damage: CorruptionError | undefined;
  /** It was fetched because of damage: when it is damaged again, another copy helps only if the file is not what was fetched. */
  isMended = false;
  /** Settles when the fetch that is under way has ended; false: the file is what would have been fetched. */
  arrival: Promise<boolean> | undefined;
  readonly #access: LayerAccess;
  #isOpen = false;
  #isResident = false;
  #fenceBlocks: Uint32Array = NO_BLOCKS;
  #fenceLsns: Float64Array = NO_LSNS;

  /**
   * Opens a layer, see {@link openHere}; one that is known to be here, or not, from a look at its folder stays closed, and nothing of it is read.
   * @param isHere what the look at the folder has shown
   * @throws CorruptionError naming the file and offset when it is not the layer that `identity` says
   */
  constructor(access: LayerAccess, path: string, identity: LayerIdentity, objects: ObjectTable, isHere?: boolean) {
    this.#access = access;
    this.path = path;
    this.identity = identity;
    this.number = access.nextLayerNumber();
    this.#isResident = isHere ?? access.fileSystem.size(path) !== undefined;
    if (!this.#isResident && !access.canFetch)
      throw new CorruptionError('the layer file does not exist', { source: path });
    if (isHere === undefined) this.openHere(objects);
  }

  /**
   * Opens a closed layer whose file is here: reads its header, footer and summary, and interns its objects.
   * @returns false when its file is not here, or is damaged but can be fetched: it stays closed
   * @throws CorruptionError naming the file and offset when it is not the layer that it should be
   */
  openHere(objects: ObjectTable): boolean {
    if (this.#isOpen) return true;
    if (!this.#isResident) return false;
    try {
      this.#openFile(this.#access.fileSystem.size(this.path), objects);
      return true;
    } catch (error) {
      if (!this.#access.canFetch || !(error instanceof CorruptionError)) throw error;
      this.#access.handles.forget(this.path);
      this.#isResident = false;
      this.damage = error;
      return false;
    }
  }

  /** False: nobody knows what is in it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** False: the file is not on this disk, or not to be used. */
  get isResident(): boolean {
    return this.#isResident;
  }

  /** Opens the layer without its file. @param tail its last bytes, as many as it takes @throws CorruptionError */
  openByTail(tail: LayerTail, objects: ObjectTable): void {
    if (!this.#isOpen) this.#open(readSummary(tail, this.identity.fileBytes), tail.source, objects);
  }

  /** Opens the layer by what another thread knows of it. @throws CorruptionError */
  openBySummary(summary: LayerSummary, objects: ObjectTable): void {
    if (!this.#isOpen) this.#open(summary, this.path, objects);
  }

  /** What is in an open layer, for another thread. */
  summary(objects: ObjectTable): LayerSummary {
    return {
      objects: this.segments.map(({ object, firstEntry, entryCount, firstBlock, lastBlock }) => ({
        kind: objects.kind(object),
        spc: objects.spc(object),
        db: objects.db(object),
        rel: objects.rel(object),
        fork: objects.fork(object),
        firstEntry,
        entryCount,
        firstBlock,
        lastBlock,
      })),
      entryCount: this.entryCount,
      valueCount: this.valueCount,
      dataBytes: this.dataBytes,
      indexOffset: this.indexOffset,
      summaryOffset: this.indexOffset + this.#fenceBlocks.length * INDEX_BLOCK_BYTES,
      fenceBlocks: this.#fenceBlocks,
      fenceLsns: this.#fenceLsns,
    };
  }

  /** The file has come to its place: opens it where it is closed. @throws CorruptionError */
  fileArrived(objects: ObjectTable): void {
    this.#access.handles.forget(this.path);
    if (!this.#isOpen) this.#openFile(this.#access.fileSystem.size(this.path), objects);
    this.#isResident = true;
    this.isMended = this.damage !== undefined;
    this.damage = undefined;
    this.lastUse = ++this.#access.uses.count;
  }

  /** The file is about to go from this disk; the layer stays open. */
  fileGoes(): void {
    this.#access.handles.forget(this.path);
    this.#isResident = false;
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

  /**
   * Reads `length` bytes at `offset` of the file into `into` at `intoOffset`, unchecked.
   * @throws AbsentLayerError; CorruptionError when the file is shorter or cannot be read
   */
  read(into: Uint8Array, intoOffset: number, length: number, offset: number): void {
    if (!this.#isResident) throw new AbsentLayerError([this]);
    this.lastUse = ++this.#access.uses.count;
    this.#read(into, intoOffset, length, offset);
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

  /**
   * Length that the packed chunk `bytes[at, at + length)`, which was checked, has unpacked. Unit: bytes.
   * @param offset where it begins in the file
   * @throws CorruptionError when it cannot be
   */
  unpackedLength(bytes: Uint8Array, at: number, length: number, offset: number): number {
    const rawLength = unpackedLength(bytes, at, length);
    if (rawLength < 0) throw this.#corrupt('a packed chunk has a length that cannot be', offset);
    return rawLength;
  }

  /**
   * Unpacks the chunk `bytes[at, at + length)`, which was checked, into `to[toStart, toStart + rawLength)`.
   * @param offset where it begins in the file
   * @throws CorruptionError when that is not what it unpacks to
   */
  unpack(
    bytes: Uint8Array,
    at: number,
    length: number,
    offset: number,
    to: Uint8Array,
    toStart: number,
    rawLength: number,
  ): void {
    if (this.unpackedLength(bytes, at, length, offset) !== rawLength)
      throw this.#corrupt(`a packed chunk does not have ${rawLength} bytes`, offset);
    if (!unpackChunk(bytes, at, length, to, toStart, rawLength))
      throw this.#corrupt('a packed chunk cannot be unpacked', offset);
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

  #read(into: Uint8Array, intoOffset: number, length: number, offset: number): void {
    let count;
    try {
      const fd = this.#access.handles.descriptor(this.path);
      count = this.#access.fileSystem.read(fd, into, intoOffset, length, offset);
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      throw new DamagedLayerError(this, `the layer file cannot be read: ${cause.message}`, offset, { cause });
    }
    if (count !== length) throw this.#corrupt('the layer file ends early', offset + count);
  }

  #openFile(size: number | undefined, objects: ObjectTable): void {
    const { path, identity } = this;
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
    const footer = this.#readTail(LAYER_FOOTER_BYTES);
    const tail = this.#readTail(tailBytesNeeded(footer, size));
    this.#open(readSummary(tail, size), path, objects);
    this.#isResident = true;
  }

  #readTail(length: number): LayerTail {
    const bytes = new Uint8Array(length);
    this.#read(bytes, 0, length, this.identity.fileBytes - length);
    return { bytes, source: this.path };
  }

  #checkHeader(): void {
    const bytes = new Uint8Array(LAYER_HEADER_BYTES);
    const header = new DataView(bytes.buffer);
    this.#read(bytes, 0, LAYER_HEADER_BYTES, 0);
    if (header.getUint32(0, true) !== LAYER_MAGIC) throw this.#corrupt('this is not a layer file', 0);
    const version = header.getUint16(4, true);
    if (version < LAYER_VERSION_MIN || version > LAYER_VERSION)
      throw this.#corrupt(
        `layer format ${version} is not known here, only ${LAYER_VERSION_MIN} to ${LAYER_VERSION}`,
        4,
      );
    if (crc32c(bytes, 0, BLOCK_CRC_OFFSET) !== header.getUint32(BLOCK_CRC_OFFSET, true))
      throw this.#corrupt('the checksum of the header is wrong', 0);
    const { name, kind } = this.identity;
    if (header.getUint8(6) !== kind || readLsn(header, 40) !== name.lsnStart || readLsn(header, 48) !== name.lsnEnd)
      throw this.#corrupt('the header is that of another layer', 6);
  }

  #open(summary: LayerSummary, source: string, objects: ObjectTable): void {
    const { summaryOffset } = summary;
    const corrupt = (message: string): CorruptionError =>
      new CorruptionError(message, { source, offset: summaryOffset });
    const segments: Segment[] = [];
    let nextEntry = 0;
    let last: ObjectId = NO_OBJECT;
    for (const { kind, spc, db, rel, fork, ...extent } of summary.objects) {
      const object = objects.intern(kind, spc, db, rel, fork);
      if (
        extent.firstEntry !== nextEntry ||
        extent.entryCount === 0 ||
        (last !== NO_OBJECT && objects.compare(last, object) >= 0)
      )
        throw corrupt('the objects of the summary are out of order');
      nextEntry += extent.entryCount;
      last = object;
      segments.push({ layer: this, object, ...extent });
    }
    if (nextEntry !== summary.entryCount) throw corrupt('the objects of the summary do not have all entries');
    this.segments = segments;
    this.entryCount = summary.entryCount;
    this.valueCount = summary.valueCount;
    this.dataBytes = summary.dataBytes;
    this.indexOffset = summary.indexOffset;
    this.#fenceBlocks = summary.fenceBlocks;
    this.#fenceLsns = summary.fenceLsns;
    this.#isOpen = true;
  }

  #corrupt(message: string, offset: number): DamagedLayerError {
    return new DamagedLayerError(this, message, offset);
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && 'syscall' in error;
}
