import { allocatePage, type Page, type PgMajor, type RecordSpec } from '@zenith/pg-format';
import { redoBlock } from './index.ts';
import { record } from './record-builder.test-support.ts';

/** A record, one of its blocks, and the page it is for: one of each form that redo knows. */
export interface GalleryItem {
  readonly name: string;
  readonly spec: RecordSpec;
  readonly blockIndex: number;
  readonly page: Uint8Array;
  /** The version whose form the record has; 18 when left out. */
  readonly major?: PgMajor;
}

/** Applies block 0 of records to `page`, one after the other, and gives its bytes. */
export function build(page: Page, ...specs: readonly RecordSpec[]): Uint8Array {
  for (const spec of specs) redoBlock(18, record(18, spec), 0, page);
  return page.bytes;
}

/** One item for each of some blocks of a record, on pages by block id. */
export function itemsOfBlocks(
  name: string,
  spec: RecordSpec,
  pages: Readonly<Record<number, Uint8Array>>,
): readonly GalleryItem[] {
  return Object.entries(pages).map(([id, page]) => ({
    name: `${name}, block ${id}`,
    spec,
    blockIndex: Number(id),
    page,
  }));
}

/** A page of zeroes, for records that build theirs. */
export const NEW_PAGE: Uint8Array = allocatePage().bytes;
