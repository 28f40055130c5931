import { crc32c, type Lsn, lsn as asLsn, type TenantId, type TimelineId } from '@zenith/base';
import { allocatePage, BLCKSZ, type Page } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { type FileSystem, localFileSystem } from '../layers/file-system.ts';
import type { PageRedo } from './redo.ts';
import type { Timeline } from './timeline.ts';

/** A tenant for tests. */
export const TENANT = 'a'.repeat(32) as TenantId;

/** The n-th timeline id of a test. */
export function timelineId(n: number): TimelineId {
  return n.toString(16).padStart(32, '0') as TimelineId;
}

/**
 * Redo whose result depends on every value and on their order: a running hash in bytes 0–3, a counter in 4–7, the LSN in 8–15, the last value's first bytes behind. A record of
 * two bytes 0xEE fails, as one without redo does.
 */
export const chainRedo: PageRedo = {
  applyRecord: (_major, bytes, view, offset, length, lsn, page) => mix(bytes, view, offset, length, lsn, page, 31),
  applyOperation: (bytes, view, offset, length, lsn, page) => mix(bytes, view, offset, length, lsn, page, 37),
};

function mix(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
  lsn: Lsn,
  page: Page,
  factor: number,
): void {
  if (view.byteLength !== bytes.byteLength || view.byteOffset !== bytes.byteOffset)
    throw new Error('the view does not cover the bytes');
  if (length === 2 && bytes[offset] === 0xee && bytes[offset + 1] === 0xee) throw new Error('this record has no redo');
  let h = page.view.getUint32(0, true);
  for (let i = 0; i < length; i++) h = (Math.imul(h, factor) + (bytes[offset + i] as number) + 1) >>> 0;
  page.view.setUint32(0, h, true);
  page.view.setUint32(4, page.view.getUint32(4, true) + 1, true);
  page.view.setFloat64(8, lsn, true);
  for (let i = 0; i < Math.min(length, 64); i++) page.bytes[16 + i] = bytes[offset + i] as number;
}

interface ModelValue {
  readonly lsn: Lsn;
  readonly kind: ValueKind;
  readonly bytes: Uint8Array;
}

/** A key of the model: a relation's block. */
export interface ModelKey {
  readonly rel: number;
  readonly block: number;
}

/** The naive storage engine: every value ever put in one list per key. */
export class StorageModel {
  readonly values = new Map<string, ModelValue[]>();
  readonly sizes = new Map<number, { readonly lsn: Lsn; readonly size: number }[]>();
  lastLsn: Lsn;
  readonly ancestor: { readonly model: StorageModel; readonly lsn: Lsn } | undefined;

  constructor(initialLsn: Lsn, ancestor?: { readonly model: StorageModel; readonly lsn: Lsn }) {
    this.lastLsn = initialLsn;
    this.ancestor = ancestor;
  }

  keys(): readonly ModelKey[] {
    const own = [...this.values.keys()].map((text) => {
      const [rel, block] = text.split('/').map(Number) as [number, number];
      return { rel, block };
    });
    return [...own, ...(this.ancestor?.model.keys() ?? [])];
  }

  /** The size of a relation at `lsn`; undefined when it does not exist. */
  size(rel: number, lsn: Lsn): number | undefined {
    const own = this.sizes.get(rel)?.findLast((one) => one.lsn <= lsn);
    if (own !== undefined) return own.size < 0 ? undefined : own.size;
    return this.ancestor?.model.size(rel, Math.min(lsn, this.ancestor.lsn) as Lsn);
  }

  /** The page at `lsn`; undefined when it has no value. */
  page(rel: number, block: number, lsn: Lsn): Page | undefined {
    const page = allocatePage();
    return this.#apply(rel, block, lsn, page) ? page : undefined;
  }

  #apply(rel: number, block: number, lsn: Lsn, page: Page): boolean {
    let any =
      this.ancestor === undefined
        ? false
        : this.ancestor.model.#apply(rel, block, Math.min(lsn, this.ancestor.lsn) as Lsn, page);
    for (const value of this.values.get(`${rel}/${block}`) ?? []) {
      if (value.lsn > lsn) break;
      any = true;
      const view = new DataView(value.bytes.buffer, value.bytes.byteOffset, value.bytes.byteLength);
      if (value.kind === ValueKind.image) page.bytes.set(value.bytes);
      else if (value.kind === ValueKind.zeroPage) page.bytes.fill(0);
      else if (value.kind === ValueKind.operation)
        chainRedo.applyOperation(value.bytes, view, 0, value.bytes.length, value.lsn, page);
      else {
        if (value.kind === ValueKind.initRecord) page.bytes.fill(0);
        chainRedo.applyRecord(18, value.bytes, view, 0, value.bytes.length, value.lsn, page);
      }
    }
    return any;
  }
}

interface LoggedPut {
  readonly objectKind: ObjectKind;
  readonly rel: number;
  readonly block: number;
  readonly lsn: Lsn;
  readonly kind: ValueKind;
  readonly bytes: Uint8Array;
}

/** Writes to a timeline and to its model at once, and remembers what, so that it can be ingested again after a crash. */
export class ModelWriter {
  readonly timeline: Timeline;
  readonly model: StorageModel;
  readonly #log: LoggedPut[] = [];

  constructor(timeline: Timeline, model: StorageModel) {
    this.timeline = timeline;
    this.model = model;
  }

  /** Puts a value at `lsn`; extends the relation when the block lies beyond its end. A first value of a block is made a base. */
  put(rel: number, block: number, lsn: Lsn, kind: ValueKind, bytes: Uint8Array): void {
    const size = this.model.size(rel, lsn) ?? 0;
    for (let fill = size; fill < block; fill++) this.#value(rel, fill, lsn, ValueKind.zeroPage, new Uint8Array(0));
    if (block >= size) this.setSize(rel, block + 1, lsn);
    const isFirst = block >= size && (kind === ValueKind.record || kind === ValueKind.operation);
    this.#value(rel, block, lsn, isFirst ? ValueKind.initRecord : kind, bytes);
  }

  /** Sets the size of a relation; negative: it is dropped. */
  setSize(rel: number, size: number, lsn: Lsn): void {
    const list = this.model.sizes.get(rel) ?? [];
    list.push({ lsn, size });
    this.model.sizes.set(rel, list);
    const bytes = new Uint8Array(size < 0 ? 0 : 4);
    if (size >= 0) new DataView(bytes.buffer).setUint32(0, size, true);
    this.#put({ objectKind: ObjectKind.relationSize, rel, block: 0, lsn, kind: ValueKind.image, bytes });
  }

  /** A writer that goes on with the same model and log on another opening of the timeline, which has everything. */
  movedTo(timeline: Timeline): ModelWriter {
    const moved = new ModelWriter(timeline, this.model);
    moved.#log.push(...this.#log);
    return moved;
  }

  /** Ingests everything above what `timeline` has, as a pageserver does after a restart. */
  replayInto(timeline: Timeline): void {
    const from = timeline.lastRecordLsn;
    for (const put of this.#log) if (put.lsn > from) putLogged(timeline, put);
    timeline.advance(this.model.lastLsn);
  }

  advance(lsn: Lsn): void {
    this.timeline.advance(lsn);
    this.model.lastLsn = lsn;
  }

  #value(rel: number, block: number, lsn: Lsn, kind: ValueKind, bytes: Uint8Array): void {
    const list = this.model.values.get(`${rel}/${block}`) ?? [];
    list.push({ lsn, kind, bytes });
    this.model.values.set(`${rel}/${block}`, list);
    this.#put({ objectKind: ObjectKind.relation, rel, block, lsn, kind, bytes });
  }

  #put(put: LoggedPut): void {
    this.#log.push(put);
    putLogged(this.timeline, put);
  }
}

function putLogged(timeline: Timeline, { objectKind, rel, block, lsn, kind, bytes }: LoggedPut): void {
  timeline.put(timeline.intern(objectKind, 1663, 5, rel, 0), block, lsn, kind, bytes, 0, bytes.length);
}

/** The content of a page, short enough for a failure's message: a checksum, and what {@link chainRedo} counts. */
export function digest(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return `${crc32c(bytes).toString(16)} of ${view.getUint32(4, true)} values, LSN ${view.getFloat64(8, true)}`;
}

/** What a read gives: the page's content, or the code of the failure. */
export function readOutcome(timeline: Timeline, rel: number, block: number, lsn: Lsn): string {
  const page = allocatePage();
  try {
    timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, rel, 0), block, lsn, page);
    return digest(page.bytes);
  } catch (error) {
    return `error ${(error as { code?: string }).code ?? (error as Error).message}`;
  }
}

/** What the read must give. */
export function modelOutcome(model: StorageModel, rel: number, block: number, lsn: Lsn): string {
  const size = model.size(rel, lsn);
  if (size === undefined || block >= size) return 'error no-such-block';
  const page = model.page(rel, block, lsn);
  return page === undefined ? 'error no-such-block' : digest(page.bytes);
}

/** A page whose content depends on `seed` only. */
export function pageOf(seed: number): Uint8Array {
  const bytes = new Uint8Array(BLCKSZ);
  let x = seed | 1;
  for (let i = 0; i < BLCKSZ; i++) {
    x = Math.imul(x, 1664525) + 1013904223;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** LSN in steps of eight. */
export function at(n: number): Lsn {
  return asLsn(0x100_0000 + n * 8);
}

/** The local file system without waiting for the disk: for tests of what is in the files, not of when it is durable. */
export const unsyncedFileSystem: FileSystem = {
  ...localFileSystem,
  sync: () => Promise.resolve(),
  syncDirectory: () => Promise.resolve(),
};
