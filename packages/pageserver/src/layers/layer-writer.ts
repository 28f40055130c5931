import { assert, crc32c, type Lsn, type TenantId, type TimelineId, writeLsn } from '@zenith/base';
import { copyBetweenViews } from '@zenith/pg-format';
import { NO_OBJECT, type ObjectId, type ObjectTable } from '../key-space/object-table.ts';
import { isBase, type ValueKind } from '../key-space/value.ts';
import { afterStoredKey, type KeyRange, type StoredKey } from '../key-space/stored-key.ts';
import type { FileSystem } from './file-system.ts';
import {
  BLOCK_CRC_OFFSET,
  CHUNK_BYTES,
  CHUNK_VALUES_MAX,
  ENTRIES_PER_BLOCK,
  FOOTER_MAGIC,
  INDEX_BLOCK_BYTES,
  INDEX_BLOCK_NUMBER_OFFSET,
  INDEX_ENTRY_BYTES,
  IndexEntry,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  LAYER_MAGIC,
  LAYER_VERSION,
  type LayerKind,
  SUMMARY_FENCE_BYTES,
  SUMMARY_OBJECT_BYTES,
  VALUE_HEADER_BYTES,
  writeIndexEntry,
  writeValueHeader,
} from './layer-format.ts';
import { COPY_BY_LOOP_MAX, COPY_BY_VIEW_MAX } from './in-memory-layer.ts';
import { formatLayerName, type LayerName } from './layer-name.ts';
import { type Compression, packChunk } from './packed-chunk.ts';

/** Bytes collected before they are written. Unit: bytes. */
const WRITE_BUFFER_BYTES = 512 * 1024;

/** What a new layer is to be. */
export interface LayerPlan {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly objects: ObjectTable;
  readonly kind: LayerKind;
  readonly lsnStart: Lsn;
  readonly lsnEnd: Lsn;
  /** First key the layer answers for; without it the first key it holds. */
  readonly keyStart?: StoredKey;
  /** Makes the file's name one that was never used. */
  readonly generation: number;
  readonly compression: Compression;
}

/** A layer file that is whole and durable, but not yet in any index. */
export interface WrittenLayer {
  readonly fileName: string;
  readonly name: LayerName;
  readonly kind: LayerKind;
  /** Size of the file. Unit: bytes. */
  readonly fileBytes: number;
  /** CRC-32C of the whole file, of the bytes as they were handed to the disk. */
  readonly crc32c: number;
}

interface ObjectEntries {
  readonly object: ObjectId;
  readonly firstEntry: number;
  entryCount: number;
  readonly firstBlock: number;
  lastBlock: number;
}

/**
 * Writes one layer file front to back. Values come in key order, of each key in the order of their LSNs. The file gets its final name when it is finished, because
 * the name holds the key range: until then it is `<generation>.tmp`, which the next opening of the timeline removes if a crash left it.
 */
export class LayerWriter {
  readonly #plan: LayerPlan;
  readonly #temporaryPath: string;
  #fd: number | undefined;
  readonly #buffer = new Uint8Array(WRITE_BUFFER_BYTES);
  #buffered = 0;
  #position = 0;
  /** CRC-32C of what was written. */
  #crc = 0;
  /** Bytes of the chunks that have ended, unpacked. */
  #dataBytes = 0;
  // The chunk being collected: only its key and LSNs are known until it ends.
  #chunk = new Uint8Array(2 * CHUNK_BYTES);
  #chunkView = new DataView(this.#chunk.buffer);
  #chunkLength = 0;
  readonly #entry = new IndexEntry();
  #chunkObject: ObjectId = NO_OBJECT;
  #lastLsn = 0;
  readonly #indexBlocks: DataView[] = [];
  #entryCount = 0;
  #valueCount = 0;
  readonly #objects: ObjectEntries[] = [];
  #firstKey: StoredKey | undefined;

  /** Creates the file. */
  constructor(plan: LayerPlan) {
    this.#plan = plan;
    this.#temporaryPath = `${plan.directory}/${plan.generation}.tmp`;
    this.#fd = plan.fileSystem.create(this.#temporaryPath);
    this.#writeHeader();
  }

  /** Bytes of data so far, before any are packed: what a file holds does not depend on how well it compresses. */
  get dataBytes(): number {
    return this.#dataBytes + this.#chunkLength;
  }

  /** Values so far. */
  get valueCount(): number {
    return this.#valueCount;
  }

  /** Appends a value. `bytes` is only borrowed. @param view over exactly `bytes`: a short value is copied faster with it */
  add(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    offset: number,
    length: number,
    view?: DataView,
  ): void {
    assert(lsn >= this.#plan.lsnStart && lsn < this.#plan.lsnEnd, 'a value lies inside of the LSN range of its layer');
    const sameKey = object === this.#chunkObject && block === this.#entry.block;
    assert(!sameKey || lsn >= this.#lastLsn, 'the values of a key come in the order of their LSNs');
    if (!sameKey || isBase(kind) || this.#chunkLength >= CHUNK_BYTES || this.#entry.values === CHUNK_VALUES_MAX)
      this.#endChunk();
    if (this.#entry.values === 0) this.#beginChunk(object, block, lsn, kind);
    const needed = this.#chunkLength + VALUE_HEADER_BYTES + length;
    if (needed > this.#chunk.length) this.#growChunk(needed);
    writeValueHeader(this.#chunkView, this.#chunkLength, lsn, kind, length);
    const at = this.#chunkLength + VALUE_HEADER_BYTES;
    if (view !== undefined && length <= COPY_BY_VIEW_MAX) {
      copyBetweenViews(view, offset, this.#chunkView, at, length);
    } else if (length <= COPY_BY_LOOP_MAX) {
      const to = this.#chunk;
      for (let i = 0; i < length; i++) to[at + i] = bytes[offset + i] as number;
    } else {
      this.#chunk.set(offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length), at);
    }
    this.#chunkLength = needed;
    this.#entry.values++;
    this.#lastLsn = lsn;
    this.#valueCount++;
  }

  /**
   * Ends the file: index, summary, footer, fsync, final name. The directory is not synced: the caller does that once for all layers, before it publishes them.
   * @param keyEnd end of the keys the layer answers for; without it just above the last key
   */
  async finish(keyEnd?: StoredKey): Promise<WrittenLayer> {
    this.#endChunk();
    assert(this.#entryCount > 0, 'a layer holds at least one value');
    const plan = this.#plan;
    const lastObject = this.#objects.at(-1) as ObjectEntries;
    const keys: KeyRange = {
      start: plan.keyStart ?? (this.#firstKey as StoredKey),
      end: keyEnd ?? afterStoredKey(plan.objects.storedKey(lastObject.object, lastObject.lastBlock)),
    };
    const name: LayerName = { keys, lsnStart: plan.lsnStart, lsnEnd: plan.lsnEnd, generation: plan.generation };
    this.#writeIndex();
    this.#flushBuffer();
    plan.fileSystem.close(this.#fd as number);
    this.#fd = undefined;
    await plan.fileSystem.sync(this.#temporaryPath);
    const fileName = formatLayerName(name);
    await plan.fileSystem.rename(this.#temporaryPath, `${plan.directory}/${fileName}`);
    return { fileName, name, kind: plan.kind, fileBytes: this.#position, crc32c: this.#crc };
  }

  /** Gives up: removes the file. To be called when `add` or `finish` has thrown; never throws. */
  abandon(): void {
    try {
      if (this.#fd !== undefined) this.#plan.fileSystem.close(this.#fd);
      this.#fd = undefined;
      this.#plan.fileSystem.unlink(this.#temporaryPath);
    } catch {
      // What is left is an orphan, which the next opening of the timeline removes.
    }
  }

  #beginChunk(object: ObjectId, block: number, lsn: Lsn, kind: ValueKind): void {
    const last = this.#objects.at(-1);
    if (last === undefined || last.object !== object) {
      assert(last === undefined || this.#plan.objects.compare(last.object, object) < 0, 'objects come in key order');
      this.#objects.push({ object, firstEntry: this.#entryCount, entryCount: 0, firstBlock: block, lastBlock: block });
    } else {
      assert(block >= last.lastBlock, 'blocks come in key order');
      last.lastBlock = block;
    }
    this.#firstKey ??= this.#plan.objects.storedKey(object, block);
    this.#chunkObject = object;
    this.#entry.block = block;
    this.#entry.firstKind = kind;
    this.#entry.firstLsn = lsn;
  }

  #endChunk(): void {
    const entry = this.#entry;
    if (entry.values === 0) return;
    // A chunk of one value needs no value header: the entry says it all.
    const start = entry.values === 1 ? VALUE_HEADER_BYTES : 0;
    const packed = this.#plan.compression === 'lz4' ? packChunk(this.#chunk, start, this.#chunkLength) : undefined;
    entry.isPacked = packed !== undefined;
    entry.length = packed === undefined ? this.#chunkLength - start : packed.length;
    entry.offset = this.#position;
    if (packed === undefined) {
      entry.crc = crc32c(this.#chunk, start, this.#chunkLength);
      this.#write(this.#chunk, start, entry.length);
    } else {
      entry.crc = crc32c(packed);
      this.#write(packed, 0, entry.length);
    }
    this.#dataBytes += this.#chunkLength - start;
    const inBlock = this.#entryCount % ENTRIES_PER_BLOCK;
    if (inBlock === 0) this.#indexBlocks.push(new DataView(new ArrayBuffer(INDEX_BLOCK_BYTES)));
    writeIndexEntry(this.#indexBlocks.at(-1) as DataView, inBlock * INDEX_ENTRY_BYTES, entry);
    this.#entryCount++;
    (this.#objects.at(-1) as ObjectEntries).entryCount++;
    entry.values = 0;
    this.#chunkLength = 0;
  }

  #growChunk(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.#chunk.length * 2));
    grown.set(this.#chunk.subarray(0, this.#chunkLength));
    this.#chunk = grown;
    this.#chunkView = new DataView(grown.buffer);
  }

  #writeHeader(): void {
    const { kind, tenant, timeline, lsnStart, lsnEnd } = this.#plan;
    const header = new Uint8Array(LAYER_HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, LAYER_MAGIC, true);
    view.setUint16(4, LAYER_VERSION, true);
    view.setUint8(6, kind);
    header.set(Buffer.from(tenant, 'hex'), 8);
    header.set(Buffer.from(timeline, 'hex'), 24);
    writeLsn(view, 40, lsnStart);
    writeLsn(view, 48, lsnEnd);
    view.setUint32(BLOCK_CRC_OFFSET, crc32c(header, 0, BLOCK_CRC_OFFSET), true);
    this.#write(header, 0, header.length);
  }

  #writeIndex(): void {
    const indexOffset = this.#position;
    const summary = new Uint8Array(
      this.#objects.length * SUMMARY_OBJECT_BYTES + this.#indexBlocks.length * SUMMARY_FENCE_BYTES,
    );
    const view = new DataView(summary.buffer);
    this.#objects.forEach((entries, i) => this.#encodeObject(view, i * SUMMARY_OBJECT_BYTES, entries));
    const fences = this.#objects.length * SUMMARY_OBJECT_BYTES;
    this.#indexBlocks.forEach((block, i) => {
      view.setUint32(fences + i * SUMMARY_FENCE_BYTES, block.getUint32(0, true), true);
      view.setBigUint64(fences + i * SUMMARY_FENCE_BYTES + 8, block.getBigUint64(8, true), true);
      block.setUint32(INDEX_BLOCK_NUMBER_OFFSET, i, true);
      const bytes = new Uint8Array(block.buffer);
      block.setUint32(BLOCK_CRC_OFFSET, crc32c(bytes, 0, BLOCK_CRC_OFFSET), true);
      this.#write(bytes, 0, INDEX_BLOCK_BYTES);
    });
    const summaryOffset = this.#position;
    this.#write(summary, 0, summary.length);
    const footer = new Uint8Array(LAYER_FOOTER_BYTES);
    const footerView = new DataView(footer.buffer);
    footerView.setUint32(0, FOOTER_MAGIC, true);
    footerView.setUint32(4, this.#objects.length, true);
    footerView.setUint32(8, this.#entryCount, true);
    footerView.setUint32(12, this.#indexBlocks.length, true);
    writeLsn(footerView, 16, this.#valueCount as Lsn);
    writeLsn(footerView, 24, indexOffset as Lsn);
    writeLsn(footerView, 32, summaryOffset as Lsn);
    footerView.setUint32(40, crc32c(summary), true);
    writeLsn(footerView, 44, this.#dataBytes as Lsn);
    footerView.setUint32(LAYER_FOOTER_BYTES - 4, crc32c(footer, 0, LAYER_FOOTER_BYTES - 4), true);
    this.#write(footer, 0, footer.length);
  }

  #encodeObject(view: DataView, at: number, entries: ObjectEntries): void {
    const { objects } = this.#plan;
    view.setUint8(at, objects.kind(entries.object));
    view.setUint8(at + 1, objects.fork(entries.object));
    view.setUint32(at + 4, objects.spc(entries.object), true);
    view.setUint32(at + 8, objects.db(entries.object), true);
    view.setUint32(at + 12, objects.rel(entries.object), true);
    view.setUint32(at + 16, entries.firstEntry, true);
    view.setUint32(at + 20, entries.entryCount, true);
    view.setUint32(at + 24, entries.firstBlock, true);
    view.setUint32(at + 28, entries.lastBlock, true);
  }

  #write(bytes: Uint8Array, offset: number, length: number): void {
    this.#position += length;
    if (length > WRITE_BUFFER_BYTES - this.#buffered) this.#flushBuffer();
    if (length >= WRITE_BUFFER_BYTES) {
      this.#writeToFile(bytes, offset, length);
      return;
    }
    const to = this.#buffer;
    const at = this.#buffered;
    if (length <= COPY_BY_LOOP_MAX) for (let i = 0; i < length; i++) to[at + i] = bytes[offset + i] as number;
    else to.set(bytes.subarray(offset, offset + length), at);
    this.#buffered += length;
  }

  #flushBuffer(): void {
    if (this.#buffered > 0) this.#writeToFile(this.#buffer, 0, this.#buffered);
    this.#buffered = 0;
  }

  #writeToFile(bytes: Uint8Array, offset: number, length: number): void {
    this.#crc = crc32c(bytes, offset, offset + length, this.#crc);
    this.#plan.fileSystem.write(this.#fd as number, bytes, offset, length);
  }
}
