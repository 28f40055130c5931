import { CorruptionError } from '@zenith/base';
import {
  HEAP_COMBOCID,
  HEAP_XMAX_INVALID,
  HEAP_XMIN_COMMITTED,
  LP_DEAD,
  RM_BTREE_ID,
  RM_CLOG_ID,
  RM_HEAP_ID,
  allocatePage,
  heapInfomask,
  linePointer,
  lpLength,
  lpOffset,
  packLinePointer,
  pageUpper,
  setHeapCid,
  setHeapInfomask,
  setHeapXmax,
  setLinePointer,
  setPageLsn,
  setPagePruneXid,
  type Page,
  type RecordSpec,
} from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { lsn } from '@zenith/base';
import type { GalleryItem } from '../gallery-item.test-support.ts';
import { GALLERY } from '../gallery.test-support.ts';
import { checkConsistency, hasCheckImage, maskPage, redoBlock } from '../index.ts';
import { record } from '../record-builder.test-support.ts';

function item(name: string): GalleryItem {
  return GALLERY.find((candidate) => candidate.name === name) as GalleryItem;
}

function pageOf(content: Uint8Array): Page {
  const page = allocatePage();
  page.bytes.set(content);
  return page;
}

/** The gallery's record with the page that redo makes of it as the image to check with. */
function withCheckImage(
  source: GalleryItem,
  change: (page: Page) => void,
): { readonly spec: RecordSpec; readonly redone: Page } {
  const redone = pageOf(source.page);
  redoBlock(18, record(18, source.spec), source.blockIndex, redone);
  const server = pageOf(redone.bytes);
  change(server);
  const blocks =
    source.spec.blocks?.map((block) =>
      block.id === source.blockIndex
        ? { ...block, image: { bytes: server.bytes, apply: false, holeOffset: 0, holeLength: 0 } }
        : block,
    ) ?? [];
  return { spec: { ...source.spec, blocks }, redone };
}

function difference(name: string, change: (page: Page) => void): number | undefined {
  const source = item(name);
  const { spec, redone } = withCheckImage(source, change);
  const before = redone.bytes.slice();
  const found = checkConsistency(18, record(18, spec), source.blockIndex, redone);
  expect(Buffer.compare(before, redone.bytes)).toBe(0);
  return found?.offset;
}

const tuple = (page: Page, offsetNumber: number): number => lpOffset(linePointer(page, offsetNumber));

describe('checkConsistency', () => {
  it('finds every change of a heap tuple that redo must make', () => {
    expect(difference('heap insert', () => undefined)).toBeUndefined();
    expect(difference('heap insert', (page) => setHeapXmax(page.view, tuple(page, 2), 5))).toBeDefined();
    expect(
      difference('heap insert', (page) =>
        setHeapInfomask(page.view, tuple(page, 2), heapInfomask(page.view, tuple(page, 2)) ^ 0x0002),
      ),
    ).toBeDefined();
    const upper = (page: Page): number => pageUpper(page) + 30;
    expect(
      difference('heap insert', (page) => page.view.setUint8(upper(page), page.view.getUint8(upper(page)) ^ 1)),
    ).toBeDefined();
    expect(difference('heap insert', (page) => setLinePointer(page, 3, packLinePointer(0, LP_DEAD, 0)))).toBeDefined();
  });

  it('overlooks what a server may change on a heap page without WAL', () => {
    expect(
      difference('heap insert', (page) => {
        setPageLsn(page, lsn(5));
        setPagePruneXid(page, 9);
        setHeapCid(page.view, tuple(page, 2), 17);
        setHeapInfomask(
          page.view,
          tuple(page, 2),
          (heapInfomask(page.view, tuple(page, 2)) | HEAP_XMIN_COMMITTED | HEAP_COMBOCID) & ~HEAP_XMAX_INVALID,
        );
        page.bytes.fill(0xaa, pageUpper(page) - 20, pageUpper(page)); // unused space
      }),
    ).toBeUndefined();
  });

  it('finds changes of a btree page, but overlooks killed items, the garbage flag and the cycle id', () => {
    const kill = (page: Page): void =>
      setLinePointer(page, 2, packLinePointer(tuple(page, 2), LP_DEAD, lpLength(linePointer(page, 2))));
    expect(difference('btree leaf insert', kill)).toBeUndefined();
    expect(
      difference('btree leaf insert', (page) =>
        page.view.setUint16(8188, page.view.getUint16(8188, true) | 0x60, true),
      ),
    ).toBeUndefined();
    expect(difference('btree leaf insert', (page) => page.view.setUint16(8190, 7, true))).toBeUndefined();
    expect(difference('btree leaf insert', (page) => page.view.setUint32(8176, 7, true))).toBe(8176);
    expect(
      difference('btree leaf insert', (page) => page.view.setUint32(tuple(page, 4) + 8, 12345, true)),
    ).toBeDefined();
  });

  it('has nothing to say on a record without an image to check with', () => {
    const source = item('heap insert');
    const plain = record(18, source.spec);
    expect(hasCheckImage(18, plain, 0)).toBe(false);
    expect(checkConsistency(18, plain, 0, allocatePage())).toBeUndefined();
    expect(hasCheckImage(18, record(18, withCheckImage(source, () => undefined).spec), 0)).toBe(true);
  });

  it('reports a page that cannot be masked', () => {
    const source = item('heap insert');
    const { spec } = withCheckImage(source, () => undefined);
    const broken = allocatePage();
    broken.bytes.fill(0xff);
    expect(() => checkConsistency(18, record(18, spec), 0, broken)).toThrow(CorruptionError);
  });
});

describe('maskPage', () => {
  it('leaves a page that was never initialised, and says when there is no mask', () => {
    const page = allocatePage();
    expect(maskPage(18, RM_HEAP_ID, page, 0)).toBe(true);
    expect(page.bytes.every((byte) => byte === 0)).toBe(true);
    expect(maskPage(18, RM_CLOG_ID, page, 0)).toBe(false);
  });

  it('masks twice as it masks once', () => {
    for (const [name, rmid] of [
      ['heap insert', RM_HEAP_ID],
      ['btree leaf insert', RM_BTREE_ID],
    ] as const) {
      const page = pageOf(item(name).page);
      maskPage(18, rmid, page, 3);
      const once = page.bytes.slice();
      maskPage(18, rmid, page, 3);
      expect(Buffer.compare(once, page.bytes)).toBe(0);
    }
  });
});
