import type { Lsn } from '@zenith/base';
import {
  BLCKSZ,
  MULTIXACT_MEMBERS,
  MULTIXACT_OFFSETS_PER_PAGE,
  SLRU_PAGES_PER_SEGMENT,
  decodeCheckPoint,
  multixactGroupByte,
  multixactMemberByte,
  slruPage,
  type Page,
} from '@zenith/pg-format';
import { ObjectKind, SlruKind } from '../key-space/object.ts';
import type { Timeline } from '../timeline/timeline.ts';

/**
 * Overwrites what of an SLRU page may differ between servers with the same WAL: what lies behind the multixact counters. A server writes the multixact files before the WAL, so that after a
 * crash they hold entries that never came to be, and it zeroes them at its next start without logging that. PG: TrimMultiXact(), multixact.c.
 */
export class SlruMask {
  readonly #nextMulti: number;
  readonly #nextOffset: number;

  /** For a timeline as it is at `lsn`. */
  constructor(timeline: Timeline, lsn: Lsn) {
    const bytes = timeline.readSmall(timeline.find(ObjectKind.checkpoint, 0, 0, 0, 0), lsn) ?? new Uint8Array(0);
    const { nextMulti, nextMultiOffset } = decodeCheckPoint(
      timeline.pgMajor,
      new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      0,
    );
    this.#nextMulti = nextMulti;
    this.#nextOffset = nextMultiOffset;
  }

  /** Masks a page in place. */
  apply(slru: SlruKind, segment: number, block: number, page: Page): void {
    const pageNumber = segment * SLRU_PAGES_PER_SEGMENT + block;
    if (slru === SlruKind.multixactOffsets) {
      const first = pageNumber * MULTIXACT_OFFSETS_PER_PAGE;
      const kept = this.#nextMulti - first; // the entry of the next multixact itself may or may not be set yet
      if (kept < MULTIXACT_OFFSETS_PER_PAGE) page.bytes.fill(0, Math.max(kept, 0) * 4);
    } else if (slru === SlruKind.multixactMembers && pageNumber === slruPage(MULTIXACT_MEMBERS, this.#nextOffset)) {
      const group = multixactGroupByte(this.#nextOffset);
      const inGroup = this.#nextOffset % 4;
      page.bytes.fill(0, group + inGroup, group + 4);
      page.bytes.fill(0, multixactMemberByte(this.#nextOffset), BLCKSZ);
    }
  }
}
