import { closeSync, fchownSync, openSync, writeSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { assert, writeLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { RELSEG_SIZE } from '@zenith/pg-format';
import { formatPageServerAddress, type PageRelation, type PageServerAddress } from '@zenith/wire';
import {
  ADDRESS_LENGTH,
  HEADER_LENGTH,
  HeaderOffset,
  PGDATA_LENGTH,
  PRESENCE_MAP_MAGIC,
  PRESENCE_MAP_VERSION,
  READAHEAD_BLOCKS_MAX,
  SEGMENTS_MAX,
  SLOT_LENGTH,
  SlotOffset,
  SlotState,
  slotHash,
} from './layout.ts';

/** How long a read waits for the pageserver before it fails, unless said otherwise. Unit: ms. */
export const REQUEST_DEADLINE_MS_DEFAULT = 60_000;

/** What the preload library must know besides the blocks. */
export interface PresenceMapOptions {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** The compute's start LSN X: every page is asked for as it was there. */
  readonly lsn: Lsn;
  readonly address: PageServerAddress;
  /** Absolute path of the data directory. */
  readonly pgdata: string;
  /** Unit: ms. Default {@link REQUEST_DEADLINE_MS_DEFAULT}. */
  readonly requestDeadlineMs?: number;
  /** Blocks asked for at once on sequential access, 1 (never more than PostgreSQL asked for) to {@link READAHEAD_BLOCKS_MAX}, the default. */
  readonly readaheadBlocks?: number;
}

/** Collects the relation forks whose pages stay with the pageserver and lays the map out. Forks that are complete in the data directory are not added. */
export class PresenceMapBuilder {
  readonly #options: PresenceMapOptions;
  /** spc, db, rel, fork, segment, blocks of each segment, one after the other. */
  readonly #segments: number[] = [];
  #bitmapLength = 0;

  constructor(options: PresenceMapOptions) {
    assert(isAbsolute(options.pgdata), 'the data directory of a presence map has an absolute path');
    this.#options = options;
  }

  /**
   * Every block of the fork, split into segments as PostgreSQL splits its files, is missing. The caller makes the sparse files of that size, before
   * PostgreSQL starts. A fork of no blocks needs no entry. Each fork is added once.
   * @param blocks size of the fork. Unit: blocks
   */
  addRelation(relation: PageRelation, blocks: number): void {
    assert(relation.fork !== 1, 'a free-space map is never remote');
    for (let first = 0, segment = 0; first < blocks; first += RELSEG_SIZE, segment++) {
      const count = Math.min(RELSEG_SIZE, blocks - first);
      this.#segments.push(relation.spc, relation.db, relation.rel, relation.fork, segment, count);
      this.#bitmapLength += bitmapLength(count);
    }
  }

  /** The map's bytes, in a buffer of their own. */
  build(): Uint8Array {
    const {
      tenant,
      timeline,
      lsn,
      address,
      pgdata,
      requestDeadlineMs = REQUEST_DEADLINE_MS_DEFAULT,
      readaheadBlocks = READAHEAD_BLOCKS_MAX,
    } = this.#options;
    assert(readaheadBlocks >= 1 && readaheadBlocks <= READAHEAD_BLOCKS_MAX, 'readahead is 1 to 128 blocks');
    assert(
      Number.isInteger(requestDeadlineMs) && requestDeadlineMs >= 1 && requestDeadlineMs <= 0x7fff_ffff,
      'a request deadline is a positive 31-bit number of ms',
    );
    const segments = this.#segments.length / 6;
    assert(segments <= SEGMENTS_MAX, 'a presence map has a bounded number of segments');
    let slotCapacity = 16;
    while (slotCapacity < 2 * segments) slotCapacity *= 2; // half empty: a search ends after one or two probes
    const bitmapsOffset = HEADER_LENGTH + slotCapacity * SLOT_LENGTH;
    const fileLength = bitmapsOffset + this.#bitmapLength;
    const bytes = Buffer.alloc(fileLength);
    const view = new DataView(bytes.buffer, bytes.byteOffset, fileLength);

    view.setUint32(HeaderOffset.magic, PRESENCE_MAP_MAGIC, true);
    view.setUint32(HeaderOffset.version, PRESENCE_MAP_VERSION, true);
    view.setUint32(HeaderOffset.slotCapacity, slotCapacity, true);
    view.setUint32(HeaderOffset.segments, segments, true);
    view.setBigUint64(HeaderOffset.slotsOffset, BigInt(HEADER_LENGTH), true);
    view.setBigUint64(HeaderOffset.bitmapsOffset, BigInt(bitmapsOffset), true);
    view.setBigUint64(HeaderOffset.fileLength, BigInt(fileLength), true);
    writeLsn(view, HeaderOffset.lsn, lsn);
    bytes.write(tenant, HeaderOffset.tenant, 'hex');
    bytes.write(timeline, HeaderOffset.timeline, 'hex');
    view.setUint32(HeaderOffset.requestDeadlineMs, requestDeadlineMs, true);
    view.setUint32(HeaderOffset.readaheadBlocks, readaheadBlocks, true);
    writeText(bytes, HeaderOffset.address, ADDRESS_LENGTH, formatPageServerAddress(address));
    writeText(bytes, HeaderOffset.pgdata, PGDATA_LENGTH, pgdata);

    let bitmapOffset = bitmapsOffset;
    for (let at = 0; at < this.#segments.length; at += 6) {
      const [spc, db, rel, fork, segment, blocks] = this.#segments.slice(at, at + 6) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const slot = freeSlot(view, slotCapacity, spc, db, rel, fork, segment);
      view.setUint32(slot + SlotOffset.state, SlotState.live, true);
      view.setUint32(slot + SlotOffset.spc, spc, true);
      view.setUint32(slot + SlotOffset.db, db, true);
      view.setUint32(slot + SlotOffset.rel, rel, true);
      view.setUint32(slot + SlotOffset.fork, fork, true);
      view.setUint32(slot + SlotOffset.segment, segment, true);
      view.setUint32(slot + SlotOffset.blocks, blocks, true);
      view.setUint32(slot + SlotOffset.remoteBlocks, blocks, true);
      view.setUint32(slot + SlotOffset.missing, blocks, true);
      view.setBigUint64(slot + SlotOffset.bitmapOffset, BigInt(bitmapOffset), true);
      bytes.fill(0xff, bitmapOffset, bitmapOffset + (blocks >>> 3));
      if (blocks % 8 !== 0) bytes[bitmapOffset + (blocks >>> 3)] = (1 << (blocks % 8)) - 1;
      bitmapOffset += bitmapLength(blocks);
    }
    return bytes;
  }
}

function bitmapLength(blocks: number): number {
  return Math.ceil(blocks / 64) * 8;
}

function writeText(bytes: Buffer, offset: number, room: number, text: string): void {
  assert(
    !text.includes('\0') && Buffer.byteLength(text) < room,
    'an address and a data directory fit into the header of a presence map',
  );
  bytes.write(text, offset, 'utf8');
}

/** Offset of the slot for a segment that has none. Terminates: half of the slots stay empty. */
function freeSlot(
  view: DataView,
  capacity: number,
  spc: number,
  db: number,
  rel: number,
  fork: number,
  segment: number,
): number {
  for (let index = slotHash(spc, db, rel, fork, segment); ; index++) {
    const slot = HEADER_LENGTH + (index & (capacity - 1)) * SLOT_LENGTH;
    if (view.getUint32(slot + SlotOffset.state, true) === SlotState.empty) return slot;
    const same =
      view.getUint32(slot + SlotOffset.rel, true) === rel &&
      view.getUint32(slot + SlotOffset.fork, true) === fork &&
      view.getUint32(slot + SlotOffset.segment, true) === segment &&
      view.getUint32(slot + SlotOffset.db, true) === db &&
      view.getUint32(slot + SlotOffset.spc, true) === spc;
    assert(!same, 'a relation fork is added to a presence map once');
  }
}

/**
 * Writes a new map file of mode 0600. It lies outside of the data directory and must not exist: PostgreSQL may still have an older one mapped.
 * Nothing is synced; a compute's files are disposable.
 * @param owner OS user PostgreSQL runs as, when it is another than this process's
 * @throws Error of the system (`EEXIST`, `ENOSPC` …)
 */
export function writePresenceMap(
  path: string,
  bytes: Uint8Array,
  owner?: { readonly uid: number; readonly gid: number },
): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at);
    if (owner !== undefined) fchownSync(file, owner.uid, owner.gid);
  } finally {
    closeSync(file);
  }
}
