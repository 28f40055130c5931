import { CorruptionError, formatLsn, type Lsn, ZenithError } from '@zenith/base';
import { BLCKSZ, type Page, type PgMajor } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import type { ObjectId, ObjectTable } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import { readValueHeader, VALUE_HEADER_BYTES, ValueHeader } from '../layers/layer-format.ts';
import { NO_FLOOR } from './locate.ts';
import type { ReadPlan } from './read-plan.ts';
import type { PageRedo } from './redo.ts';

/**
 * Applies one value to `page`, in place. A base overwrites all of it.
 * @throws CorruptionError, or a ZenithError of redo's; the page's content is then undefined
 */
export function applyValue(
  redo: PageRedo,
  pgMajor: PgMajor,
  kind: number,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
  lsn: Lsn,
  page: Page,
): void {
  switch (kind) {
    case ValueKind.image:
      if (length !== BLCKSZ) throw new CorruptionError(`an image of a page has ${length} bytes`);
      page.bytes.set(bytes.subarray(offset, offset + length));
      return;
    case ValueKind.zeroPage:
      page.bytes.fill(0);
      return;
    case ValueKind.initRecord:
      page.bytes.fill(0);
      redo.applyRecord(pgMajor, bytes, view, offset, length, lsn, page);
      return;
    case ValueKind.record:
      redo.applyRecord(pgMajor, bytes, view, offset, length, lsn, page);
      return;
    case ValueKind.operation:
      redo.applyOperation(bytes, view, offset, length, lsn, page);
      return;
    default:
      throw new CorruptionError(`a stored value has the unknown kind ${kind}`);
  }
}

/** Rebuilds pages from located and fetched pieces. Keeps how many values it applied last and the LSN of the newest. */
export class Reconstructor {
  readonly #redo: PageRedo;
  readonly #header = new ValueHeader();
  /** Values applied by the last call, the base included. */
  applied = 0;
  /** LSN of the newest value applied by the last call. */
  newest: Lsn = NO_FLOOR;

  /** @param redo applies records and operations */
  constructor(redo: PageRedo) {
    this.#redo = redo;
  }

  /**
   * Applies the values of pieces [from, to) of `plan` that lie above `floor` and within their piece's limit, the oldest first. With a floor, `page` holds the page as it was at the floor.
   * @throws CorruptionError, or a ZenithError of redo's; the page's content is then undefined
   */
  apply(pgMajor: PgMajor, plan: ReadPlan, from: number, to: number, floor: Lsn, page: Page): void {
    this.applied = 0;
    this.newest = floor;
    for (let i = to - 1; i >= from; i--) {
      const bytes = plan.bytes[i] as Uint8Array;
      const view = plan.views[i] as DataView;
      const offset = plan.offsets[i] as number;
      const length = plan.lengths[i] as number;
      if (plan.values[i] === 1)
        this.#value(pgMajor, plan.kinds[i] as number, bytes, view, offset, length, plan.lsns[i] as Lsn, floor, page);
      else this.#chunk(pgMajor, plan.layers[i], bytes, view, offset, length, floor, plan.limits[i] as Lsn, page);
    }
  }

  #chunk(
    pgMajor: PgMajor,
    layer: LayerFile | undefined,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    floor: Lsn,
    limit: Lsn,
    page: Page,
  ): void {
    const end = offset + length;
    const header = this.#header;
    for (let at = offset; at < end;) {
      if (at + VALUE_HEADER_BYTES > end)
        throw new CorruptionError('a chunk ends within a value', layer && { source: layer.path });
      readValueHeader(view, at, header);
      at += VALUE_HEADER_BYTES;
      if (header.length > end - at)
        throw new CorruptionError('a value reaches beyond its chunk', layer && { source: layer.path });
      if (header.lsn > limit) return;
      this.#value(pgMajor, header.kind, bytes, view, at, header.length, header.lsn, floor, page);
      at += header.length;
    }
  }

  #value(
    pgMajor: PgMajor,
    kind: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    lsn: Lsn,
    floor: Lsn,
    page: Page,
  ): void {
    if (lsn <= floor) return;
    applyValue(this.#redo, pgMajor, kind, bytes, view, offset, length, lsn, page);
    this.applied++;
    this.newest = lsn;
  }
}

/** Names a page in messages: `relation 1663/5/16384 fork 0 block 7 at 0/16B3D98`. */
export function describePage(objects: ObjectTable, object: ObjectId, block: number, lsn: Lsn): string {
  const kind = objects.kind(object);
  const name = Object.entries(ObjectKind).find(([, value]) => value === kind)?.[0] ?? String(kind);
  return `${name} ${objects.spc(object)}/${objects.db(object)}/${objects.rel(object)} fork ${objects.fork(object)} block ${block} at ${formatLsn(lsn)}`;
}

/** Adds to an error of redo or of a layer which page could not be rebuilt; anything else is returned as it is. */
export function withPage(error: unknown, objects: ObjectTable, object: ObjectId, block: number, lsn: Lsn): unknown {
  const what = (message: string): string =>
    `${describePage(objects, object, block, lsn)} cannot be rebuilt: ${message}`;
  // The cause's message already ends with its position.
  if (error instanceof CorruptionError) return new CorruptionError(what(error.message), undefined, { cause: error });
  if (error instanceof ZenithError) return new ZenithError(error.code, what(error.message), { cause: error });
  return error;
}
