import {
  MULTIXACT_OFFSETS_PER_PAGE,
  SLRU_PAGES_PER_SEGMENT,
  multixactOffsetByte,
  type CheckPoint,
  type Page,
} from '@zenith/pg-format';
import { SlruKind } from '../key-space/object.ts';

/**
 * What of the SLRUs may differ between a server that was shut down and a timeline with all of its WAL, by the counters that the server itself wrote: the offset of the next multixact, and nothing else. It is where the last one's members end,
 * so there it is known already, but not every minor version writes it before that multixact comes to be. What lies behind the counters is compared, too: zeroes, which a server's start puts there (PG: TrimMultiXact(), multixact.c; TrimCLOG(),
 * clog.c), and which no record of its changes.
 */
export class SlruMask {
  readonly #nextMulti: number;
  readonly #nextOffset: number;

  /** @param checkPoint the server's counters at the end: those of its control file */
  constructor({ nextMulti, nextMultiOffset }: CheckPoint) {
    this.#nextMulti = nextMulti;
    this.#nextOffset = nextMultiOffset;
  }

  /** Masks page `block` of a segment in place. An offset of the next multixact that is neither known nor unset stays as it is. */
  apply(slru: SlruKind, segment: number, block: number, page: Page): void {
    const pageNumber = segment * SLRU_PAGES_PER_SEGMENT + block;
    if (slru !== SlruKind.multixactOffsets || pageNumber !== Math.floor(this.#nextMulti / MULTIXACT_OFFSETS_PER_PAGE))
      return;
    const at = multixactOffsetByte(this.#nextMulti);
    if (page.view.getUint32(at, true) === this.#nextOffset) page.view.setUint32(at, 0, true);
  }
}
