import { assert, type Lsn } from '@zenith/base';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { EntryScratch } from '../layers/in-memory-layer.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import { IndexEntry } from '../layers/layer-format.ts';
import { StorageError } from './errors.ts';

/** Most bytes of layer files one rebuild may need. Images in long histories keep it far below. Unit: bytes. */
const PLAN_BYTES_MAX = 64 * 1024 * 1024;

/** Chunks no further apart than this are fetched by one read. Unit: bytes. */
const GAP_BYTES = 4096;

/** Longest read of several chunks. Unit: bytes. */
const READ_BYTES = 1024 * 1024;

/** The arena is given back when a rebuild has made it larger than this. Unit: bytes. */
const ARENA_KEEP_BYTES = 4 * 1024 * 1024;

/**
 * Where the values lie that a read needs: pieces, of each page the newest first. A piece is one value in memory, or a chunk of a layer file. Locating
 * fills it from indexes alone; fetching then reads all chunks, neighbours in one read. Reused: allocates only when it grows.
 */
export class ReadPlan {
  /** Number of pieces. */
  count = 0;
  /** LSN of the value, or of the chunk's first. */
  lsns = new Float64Array(64);
  /** Kind of the value, or of the chunk's first. */
  kinds = new Uint8Array(64);
  /** Values in the chunk; 1 for a value in memory. */
  values = new Int32Array(64);
  /** Length of the value or chunk; before `fetch` that of the chunk in its file. Unit: bytes. */
  lengths = new Int32Array(64);
  /** Where the value or chunk begins in `bytes[i]`. Unit: bytes. */
  offsets = new Float64Array(64);
  /** Values of the piece above this LSN are not the read's: its own LSN, or the branch point where it reached into an ancestor. */
  limits = new Float64Array(64);
  #crcs = new Uint32Array(64);
  #packed = new Uint8Array(64);
  #fileOffsets = new Float64Array(64);
  /** The layer file of a chunk; undefined for a value in memory. */
  readonly layers: (LayerFile | undefined)[] = [];
  /** The buffer a piece lies in: a slab, or after `fetch` the arena. Borrowed. */
  readonly bytes: Uint8Array[] = [];
  /** A view over exactly that buffer. */
  readonly views: DataView[] = [];
  #arena = new Uint8Array(64 * 1024);
  #arenaView = new DataView(this.#arena.buffer);
  /** Where chunks are unpacked. */
  #unpacked = new Uint8Array(64 * 1024);
  #unpackedView = new DataView(this.#unpacked.buffer);
  readonly #order: number[] = [];
  /** Scratch for locating. */
  readonly value = new EntryScratch();
  /** Scratch for locating. */
  readonly entry = new IndexEntry();

  /** Forgets everything. */
  clear(): void {
    this.count = 0;
    if (this.#arena.length > ARENA_KEEP_BYTES) this.#makeArena(64 * 1024);
    if (this.#unpacked.length > ARENA_KEEP_BYTES) this.#makeUnpacked(64 * 1024);
  }

  /** Adds a value of an in-memory layer. */
  addValue(value: EntryScratch): void {
    const i = this.#next();
    this.limits[i] = value.lsn;
    this.lsns[i] = value.lsn;
    this.kinds[i] = value.kind;
    this.values[i] = 1;
    this.lengths[i] = value.length;
    this.offsets[i] = value.offset;
    this.#packed[i] = 0;
    this.layers[i] = undefined;
    this.bytes[i] = value.slab.bytes;
    this.views[i] = value.slab.view;
  }

  /** Adds a chunk of a layer file, to be fetched, of which the values at or below `limit` count. */
  addChunk(layer: LayerFile, entry: IndexEntry, limit: Lsn): void {
    const i = this.#next();
    this.limits[i] = limit;
    this.lsns[i] = entry.firstLsn;
    this.kinds[i] = entry.firstKind;
    this.values[i] = entry.values;
    this.lengths[i] = entry.length;
    this.#fileOffsets[i] = entry.offset;
    this.#crcs[i] = entry.crc;
    this.#packed[i] = entry.isPacked ? 1 : 0;
    this.layers[i] = layer;
    this.bytes[i] = this.#arena;
    this.views[i] = this.#arenaView;
  }

  /** How many layer files the pieces from `from` on lie in; those of one file follow each other. */
  layersOf(from: number): number {
    let files = 0;
    for (let i = from; i < this.count; i++) {
      const layer = this.layers[i];
      if (layer !== undefined && (i === from || layer !== this.layers[i - 1])) files++;
    }
    return files;
  }

  /** Where chunk `i` begins in its layer file. Unit: bytes. */
  fileOffset(i: number): number {
    return this.#fileOffsets[i] as number;
  }

  /** Where chunk `i`, not fetched yet, ends in its layer file. Unit: bytes. */
  fileEnd(i: number): number {
    return (this.#fileOffsets[i] as number) + (this.lengths[i] as number);
  }

  /** Checks bytes read from chunk `i`'s place against its checksum. @throws CorruptionError */
  check(i: number, bytes: Uint8Array, at: number): void {
    (this.layers[i] as LayerFile).check(bytes, at, {
      offset: this.#fileOffsets[i] as number,
      length: this.lengths[i] as number,
      crc: this.#crcs[i] as number,
    });
  }

  /** Holds that the files of pieces [from, to) are on this disk. @throws AbsentLayerError with all that are not: they are fetched side by side */
  requireResident(from: number, to: number): void {
    let absent: Set<LayerFile> | undefined;
    for (let i = from; i < to; i++) {
      const layer = this.layers[i];
      if (layer !== undefined && !layer.isResident) (absent ??= new Set()).add(layer);
    }
    if (absent !== undefined) throw new AbsentLayerError([...absent]);
  }

  /** The caller has read chunk `i` to where it needs it: {@link fetch} leaves it out, and its bytes are not to be had from here. */
  markFetched(i: number): void {
    this.layers[i] = undefined;
  }

  /**
   * Reads the chunks among pieces [from, to) into the arena; then every one of those pieces has its bytes.
   * @throws CorruptionError naming the layer file; StorageError `page-history-too-long`; AbsentLayerError
   */
  fetch(from: number, to: number): void {
    const order = this.#order;
    order.length = 0;
    let total = 0;
    for (let i = from; i < to; i++) {
      if (this.layers[i] === undefined) continue;
      order.push(i);
      total += (this.lengths[i] as number) + GAP_BYTES;
    }
    if (order.length === 0) return;
    this.requireResident(from, to);
    if (total > PLAN_BYTES_MAX + order.length * GAP_BYTES) throw tooLong();
    if (order.length > 1)
      order.sort(
        (a, b) =>
          (this.layers[a] as LayerFile).number - (this.layers[b] as LayerFile).number ||
          (this.#fileOffsets[a] as number) - (this.#fileOffsets[b] as number),
      );
    if (total > this.#arena.length) this.#makeArena(total);
    let used = 0;
    for (let first = 0; first < order.length;) {
      const layer = this.layers[order[first] as number] as LayerFile;
      const start = this.#fileOffsets[order[first] as number] as number;
      let end = start + (this.lengths[order[first] as number] as number);
      let next = first + 1;
      for (; next < order.length; next++) {
        const i = order[next] as number;
        const chunkEnd = (this.#fileOffsets[i] as number) + (this.lengths[i] as number);
        if (
          this.layers[i] !== layer ||
          (this.#fileOffsets[i] as number) - end > GAP_BYTES ||
          chunkEnd - start > READ_BYTES
        )
          break;
        end = Math.max(end, chunkEnd);
      }
      if (end > start) layer.read(this.#arena, used, end - start, start);
      for (let n = first; n < next; n++) {
        const i = order[n] as number;
        const at = used + (this.#fileOffsets[i] as number) - start;
        this.offsets[i] = at;
        this.bytes[i] = this.#arena;
        this.views[i] = this.#arenaView;
        this.check(i, this.#arena, at);
      }
      used += end - start;
      first = next;
    }
    this.#unpack(order);
  }

  /** True: chunk `i` is compressed in its file. */
  isPacked(i: number): boolean {
    return this.#packed[i] !== 0;
  }

  /** True: one of pieces [from, to) is compressed in its file. */
  hasPacked(from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (this.isPacked(i)) return true;
    return false;
  }

  /** Unpacks chunk `i`, which lies checked at `at` of `bytes`, into `to[toStart, toStart + rawLength)`. @throws CorruptionError when it does not have that many bytes */
  unpack(i: number, bytes: Uint8Array, at: number, to: Uint8Array, toStart: number, rawLength: number): void {
    const layer = this.layers[i] as LayerFile;
    layer.unpack(bytes, at, this.lengths[i] as number, this.fileOffset(i), to, toStart, rawLength);
  }

  /** Unpacks the packed ones of pieces that lie in the arena: they have their bytes elsewhere afterwards. */
  #unpack(pieces: readonly number[]): void {
    let total = 0;
    for (const i of pieces) if (this.isPacked(i)) total += this.#unpackedLength(i);
    if (total === 0) return;
    if (total > PLAN_BYTES_MAX) throw tooLong();
    if (total > this.#unpacked.length) this.#makeUnpacked(total);
    let used = 0;
    for (const i of pieces) {
      if (!this.isPacked(i)) continue;
      const length = this.#unpackedLength(i);
      this.unpack(i, this.#arena, this.offsets[i] as number, this.#unpacked, used, length);
      this.offsets[i] = used;
      this.lengths[i] = length;
      this.bytes[i] = this.#unpacked;
      this.views[i] = this.#unpackedView;
      used += length;
    }
  }

  #unpackedLength(i: number): number {
    const layer = this.layers[i] as LayerFile;
    return layer.unpackedLength(
      this.#arena,
      this.offsets[i] as number,
      this.lengths[i] as number,
      this.#fileOffsets[i] as number,
    );
  }

  #next(): number {
    const i = this.count++;
    if (i === this.lsns.length) this.#grow();
    return i;
  }

  #grow(): void {
    const size = this.lsns.length * 2;
    assert(size <= 1 << 28, 'a read plan has a bounded number of pieces');
    const copy = <T extends Float64Array | Uint8Array | Int32Array | Uint32Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.lsns = copy(new Float64Array(size), this.lsns);
    this.kinds = copy(new Uint8Array(size), this.kinds);
    this.values = copy(new Int32Array(size), this.values);
    this.lengths = copy(new Int32Array(size), this.lengths);
    this.offsets = copy(new Float64Array(size), this.offsets);
    this.limits = copy(new Float64Array(size), this.limits);
    this.#packed = copy(new Uint8Array(size), this.#packed);
    this.#crcs = copy(new Uint32Array(size), this.#crcs);
    this.#fileOffsets = copy(new Float64Array(size), this.#fileOffsets);
  }

  #makeArena(size: number): void {
    this.#arena = new Uint8Array(size);
    this.#arenaView = new DataView(this.#arena.buffer);
  }

  #makeUnpacked(size: number): void {
    this.#unpacked = new Uint8Array(size);
    this.#unpackedView = new DataView(this.#unpacked.buffer);
  }
}

function tooLong(): StorageError {
  return new StorageError(
    'page-history-too-long',
    `rebuilding a page would read more than ${PLAN_BYTES_MAX} bytes of history`,
  );
}
