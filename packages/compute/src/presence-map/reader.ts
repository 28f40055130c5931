import { readFileSync } from 'node:fs';
import { CorruptionError, readLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { RELSEG_SIZE } from '@zenith/pg-format';
import type { PageRelation } from '@zenith/wire';
import {
  ADDRESS_LENGTH,
  COUNTER_NAMES,
  HEADER_LENGTH,
  HeaderOffset,
  PGDATA_LENGTH,
  PRESENCE_MAP_MAGIC,
  PRESENCE_MAP_VERSION,
  SLOT_LENGTH,
  SlotOffset,
  SlotState,
  slotHash,
} from './layout.ts';

/** What the library counted since the map was made, over all processes. */
export interface PresenceCounters {
  /** Requests sent to the pageserver. */
  readonly requests: number;
  /** Blocks that came back. */
  readonly blocksFetched: number;
  /** Blocks put into relation files; the rest was no longer missing when it came. */
  readonly blocksInstalled: number;
  /** Time reads waited for the pageserver. Unit: µs. */
  readonly waitedUs: number;
  /** Connections lost and connection attempts that failed. */
  readonly reconnects: number;
  /** Reads that failed for good. */
  readonly failures: number;
}

/** One segment file of a relation fork. */
export interface PresenceSegment extends PageRelation {
  readonly segment: number;
  /** False once the file was unlinked. */
  readonly live: boolean;
  /** Size at the start LSN. Unit: blocks. */
  readonly blocks: number;
  /** Those not truncated since. Unit: blocks. */
  readonly remoteBlocks: number;
  /** Those not fetched or written since; an upper bound. Unit: blocks. */
  readonly missing: number;
}

/** A moment of a presence map: a copy of the file, taken while PostgreSQL may be changing it, so numbers need not add up exactly. */
export class PresenceMap {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
  /** Address of the pageserver, text form. */
  readonly address: string;
  readonly pgdata: string;
  /** Unit: ms. */
  readonly requestDeadlineMs: number;
  /** Unit: blocks. */
  readonly readaheadBlocks: number;
  readonly counters: PresenceCounters;
  readonly #view: DataView;
  readonly #source: string;
  readonly #slotCapacity: number;

  /**
   * @param bytes the whole file; borrowed as long as the object lives
   * @param source the file's name for errors
   * @throws CorruptionError when it is not a presence map
   */
  constructor(bytes: Uint8Array, source: string) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (bytes.length < HEADER_LENGTH)
      throw new CorruptionError(`${bytes.length} bytes are too few for a presence map`, { source });
    const magic = view.getUint32(HeaderOffset.magic, true);
    if (magic !== PRESENCE_MAP_MAGIC)
      throw new CorruptionError(`magic 0x${magic.toString(16)} is not that of a presence map`, {
        source,
        offset: HeaderOffset.magic,
      });
    const version = view.getUint32(HeaderOffset.version, true);
    if (version !== PRESENCE_MAP_VERSION)
      throw new CorruptionError(`presence map version ${version}, expected ${PRESENCE_MAP_VERSION}`, {
        source,
        offset: HeaderOffset.version,
      });
    const fileLength = Number(view.getBigUint64(HeaderOffset.fileLength, true));
    if (fileLength !== bytes.length)
      throw new CorruptionError(`${bytes.length} bytes, the header says ${fileLength}`, {
        source,
        offset: HeaderOffset.fileLength,
      });
    const slotCapacity = view.getUint32(HeaderOffset.slotCapacity, true);
    const slotsFit =
      slotCapacity > 0 &&
      (slotCapacity & (slotCapacity - 1)) === 0 &&
      HEADER_LENGTH + slotCapacity * SLOT_LENGTH <= fileLength;
    if (!slotsFit)
      throw new CorruptionError(`${slotCapacity} slots do not fit into the file`, {
        source,
        offset: HeaderOffset.slotCapacity,
      });
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = view;
    this.#source = source;
    this.#slotCapacity = slotCapacity;
    this.tenant = buffer.toString('hex', HeaderOffset.tenant, HeaderOffset.tenant + 16) as TenantId;
    this.timeline = buffer.toString('hex', HeaderOffset.timeline, HeaderOffset.timeline + 16) as TimelineId;
    this.lsn = readLsn(view, HeaderOffset.lsn);
    this.address = textAt(buffer, HeaderOffset.address, ADDRESS_LENGTH);
    this.pgdata = textAt(buffer, HeaderOffset.pgdata, PGDATA_LENGTH);
    this.requestDeadlineMs = view.getUint32(HeaderOffset.requestDeadlineMs, true);
    this.readaheadBlocks = view.getUint32(HeaderOffset.readaheadBlocks, true);
    this.counters = Object.fromEntries(
      COUNTER_NAMES.map((name, index) => [name, Number(view.getBigUint64(HeaderOffset.counters + index * 8, true))]),
    ) as unknown as PresenceCounters;
  }

  /** Every segment the map was made with, in no order. */
  *segments(): Generator<PresenceSegment> {
    for (let index = 0; index < this.#slotCapacity; index++) {
      const slot = HEADER_LENGTH + index * SLOT_LENGTH;
      if (this.#field(slot, 'state') !== SlotState.empty) yield this.#segmentAt(slot);
    }
  }

  /** Blocks of live segments that are still missing; an upper bound. */
  missingBlocks(): number {
    let blocks = 0;
    for (const segment of this.segments()) if (segment.live) blocks += segment.missing;
    return blocks;
  }

  /** True when a read of that block would ask the pageserver. @throws CorruptionError when its bitmap lies outside of the file */
  isMissing(relation: PageRelation, block: number): boolean {
    const segment = Math.floor(block / RELSEG_SIZE);
    const slot = this.#find(relation, segment);
    if (slot === undefined || this.#field(slot, 'state') !== SlotState.live) return false;
    const bit = block % RELSEG_SIZE;
    if (bit >= this.#field(slot, 'remoteBlocks')) return false;
    const bitmap = Number(this.#view.getBigUint64(slot + SlotOffset.bitmapOffset, true));
    if (bitmap + (bit >>> 3) >= this.#view.byteLength)
      throw new CorruptionError(`a bitmap at byte ${bitmap} lies outside of the presence map`, {
        source: this.#source,
        offset: slot + SlotOffset.bitmapOffset,
      });
    return ((this.#view.getUint8(bitmap + (bit >>> 3)) >>> (bit % 8)) & 1) === 1;
  }

  #field(slot: number, name: keyof typeof SlotOffset): number {
    return this.#view.getUint32(slot + SlotOffset[name], true);
  }

  #find(relation: PageRelation, segment: number): number | undefined {
    let index = slotHash(relation.spc, relation.db, relation.rel, relation.fork, segment);
    for (let probes = 0; probes < this.#slotCapacity; probes++, index++) {
      const slot = HEADER_LENGTH + (index & (this.#slotCapacity - 1)) * SLOT_LENGTH;
      if (this.#field(slot, 'state') === SlotState.empty) return undefined;
      const at = this.#segmentAt(slot);
      if (
        at.rel === relation.rel &&
        at.fork === relation.fork &&
        at.segment === segment &&
        at.db === relation.db &&
        at.spc === relation.spc
      )
        return slot;
    }
    return undefined;
  }

  #segmentAt(slot: number): PresenceSegment {
    return {
      spc: this.#field(slot, 'spc'),
      db: this.#field(slot, 'db'),
      rel: this.#field(slot, 'rel'),
      fork: this.#field(slot, 'fork'),
      segment: this.#field(slot, 'segment'),
      live: this.#field(slot, 'state') === SlotState.live,
      blocks: this.#field(slot, 'blocks'),
      remoteBlocks: this.#field(slot, 'remoteBlocks'),
      missing: this.#field(slot, 'missing'),
    };
  }
}

function textAt(bytes: Buffer, offset: number, room: number): string {
  const end = bytes.indexOf(0, offset);
  return bytes.toString('utf8', offset, end < 0 ? offset + room : Math.min(end, offset + room));
}

/** Reads a map file as it is now. @throws CorruptionError when it is not a presence map; Error of the system when it cannot be read */
export function readPresenceMap(path: string): PresenceMap {
  return new PresenceMap(readFileSync(path), path);
}
