import { BLCKSZ, BTP_LEAF, RM_BTREE_ID, RM_HEAP_ID, allocatePage, initPage, type Page } from '@zenith/pg-format';
import { describe, expect, test } from 'vitest';
import { mutateBytes } from '../fuzz/mutate.test-support.ts';
import { Random } from '../fuzz/random.test-support.ts';
import { GALLERY } from '../gallery.test-support.ts';
import { redoBlock } from '../redo-block.ts';
import { pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';
import { comparePages } from './compare-pages.ts';
import { decodePage } from './decode-page.ts';
import type { DecodedPage } from './decoded-page.ts';

function pageOf(bytes: Uint8Array): Page {
  const page = allocatePage();
  page.bytes.set(bytes);
  return page;
}

function damages(page: DecodedPage): string[] {
  return page.parts.flatMap(({ name, fields }) => ('damaged' in fields ? [`${name}: ${fields['damaged']}`] : []));
}

/** The page of a gallery item after its record. */
function redone({ spec, blockIndex, page, major = 18 }: (typeof GALLERY)[number]): Page {
  const after = pageOf(page);
  redoBlock(major, record(major, spec), blockIndex, after);
  return after;
}

function fieldsOf(page: DecodedPage, part: string): Readonly<Record<string, number | string>> {
  const found = page.parts.find(({ name }) => name === part);
  if (found === undefined) throw new Error(`no part ${part} of ${page.parts.map(({ name }) => name).join(', ')}`);
  return found.fields;
}

/** Records of the gallery whose tuples are only as long as real ones. */
const NOT_TUPLES = ['sequence', 'gin insert of an entry'];

describe('every kind of record that redo knows', () => {
  const items = GALLERY.filter(({ name }) => !NOT_TUPLES.some((known) => name.startsWith(known)));
  test.each(items.map((item) => [item.name, item] as const))('%s: the page reads well', (_name, item) => {
    const { fork, block } = item.spec.blocks?.[item.blockIndex] ?? { fork: 0, block: 0 };
    const decoded = decodePage(redone(item), fork, block);
    expect(damages(decoded)).toEqual([]);
  });

  test('is told apart by its page', () => {
    const kinds = new Set(GALLERY.map((item) => decodePage(redone(item), 0, 0).kind));
    for (const kind of [
      'heap',
      'sequence',
      'btree leaf',
      'btree inner page',
      'btree meta page',
      'btree deleted page',
      'gin meta page',
      'gin entry tree leaf',
      'gin entry tree inner page',
      'gin posting tree leaf',
      'gin posting tree inner page',
      'gin pending list page',
      'gin deleted page',
      'gist leaf',
      'gist inner page',
      'gist deleted page',
      'hash meta page',
      'hash bitmap page',
      'hash bucket page',
      'hash overflow page',
      'spgist leaf',
      'spgist inner page',
      'brin meta page',
      'brin range map page',
      'brin page',
    ])
      expect(kinds).toContain(kind);
  });
});

test('a heap page in words', () => {
  const item = GALLERY.find(({ name }) => name === 'heap insert');
  if (item === undefined) throw new Error('the gallery has no heap insert');
  const before = decodePage(pageOf(item.page), 0, 7);
  const after = decodePage(redone(item), 0, 7);
  expect(fieldsOf(after, 'header')).toMatchObject({ lsn: '1/23456788', lower: 56, special: BLCKSZ });
  expect(fieldsOf(after, 'item 8')).toMatchObject({
    lp: 'normal',
    xmin: 1000,
    xmax: 0,
    cid: 0,
    ctid: '(7,8)',
    columns: 2,
    infomask: '0x0902 HASVARWIDTH|XMIN_COMMITTED|XMAX_INVALID',
    hoff: 24,
    data: `08000000${Buffer.from('some text of the t').toString('hex')}`,
  });
  const changes = comparePages(before, after);
  expect(changes.map(({ part, change }) => `${part} ${change}`)).toEqual(['header changed', 'item 8 added']);
  expect(changes[0]?.fields).toContainEqual({ name: 'lower', before: 52, after: 56 });
});

test('dead, redirected and unused line pointers', () => {
  const item = GALLERY.find(({ name }) => name === 'heap prune and freeze');
  if (item === undefined) throw new Error('the gallery has no prune');
  const after = decodePage(redone(item), 0, 7);
  expect(fieldsOf(after, 'item 1')).toEqual({ lp: 'redirect', to: 3 });
  const pointers = after.parts.map(({ fields }) => fields['lp']);
  expect(new Set(pointers)).toEqual(new Set([undefined, 'redirect', 'dead', 'normal', 'unused']));
});

test('null columns of a tuple', () => {
  const page = allocatePage();
  const data = pack(u16(3), u16(0x0901), u8(24), u8(0x05), new Uint8Array(8));
  redoBlock(
    18,
    record(18, {
      rmid: RM_HEAP_ID,
      info: 0x80,
      xid: 9,
      mainData: pack(u16(1), u8(0)),
      blocks: [{ id: 0, spc: 1, db: 1, rel: 1, fork: 0, block: 0, willInit: true, data }],
    }),
    0,
    page,
  );
  expect(fieldsOf(decodePage(page, 0, 0), 'item 1')).toMatchObject({ columns: 3, nulls: '2' });
});

test('a btree leaf with a high key, a posting list and a plain tuple', () => {
  const page = allocatePage();
  initPage(page, 16);
  const opaque = BLCKSZ - 16;
  page.view.setUint32(opaque + 4, 9, true);
  page.view.setUint16(opaque + 12, BTP_LEAF, true);
  const put = (offsetNumber: number, ...fields: readonly (readonly [1 | 2 | 4, number] | Uint8Array)[]): void => {
    const bytes = pack(...fields);
    const at = opaque - offsetNumber * 32;
    page.bytes.set(bytes, at);
    page.view.setUint32(20 + offsetNumber * 4, (at | (1 << 15) | (bytes.length << 17)) >>> 0, true);
    page.view.setUint16(12, 24 + offsetNumber * 4, true);
    page.view.setUint16(14, at, true);
  };
  // A pivot of one key column, a posting list of two, a heap pointer.
  put(1, u16(0), u16(0), u16(1), u16(0x2000 | 16), u32(5), u32(0));
  put(
    2,
    u16(0),
    u16(16),
    u16(0x2000 | 2),
    u16(0x2000 | 28),
    u32(3),
    u32(0),
    u16(0),
    u16(7),
    u16(1),
    u16(0),
    u16(7),
    u16(2),
  );
  put(3, u16(1), u16(2), u16(4), u16(16), u32(4), u32(0));
  const decoded = decodePage(page, 0, 1);
  expect(decoded.kind).toBe('btree leaf');
  expect(fieldsOf(decoded, 'item 1')).toMatchObject({ is: 'high key', 'key columns': 1, key: '0500000000000000' });
  expect(fieldsOf(decoded, 'item 2')).toMatchObject({ tids: '(7,1) (7,2)', key: '0300000000000000' });
  expect(fieldsOf(decoded, 'item 3')).toMatchObject({ tid: '(65538,4)', key: '0400000000000000' });
  expect(fieldsOf(decoded, 'special')).toMatchObject({ prev: 'none', next: 9, level: 0, flags: '0x0001 LEAF' });
});

test('a page of a visibility map, by heap blocks', () => {
  const page = allocatePage();
  initPage(page, 0);
  page.bytes[24] = 0b11_01_00_11;
  page.bytes[25] = 0b00_00_00_01;
  expect(fieldsOf(decodePage(page, 2, 1), 'heap blocks')).toEqual({
    'all visible': '32672 32674-32676',
    'all frozen': '32672 32675',
  });
});

test('a page of zeroes', () => {
  expect(decodePage(allocatePage(), 0, 0)).toEqual({ kind: 'all zeroes', parts: [] });
});

test('a page of an extension is shown as far as it is known', () => {
  const page = allocatePage();
  initPage(page, 8);
  page.view.setUint16(BLCKSZ - 2, 0xff83, true);
  expect(decodePage(page, 0, 0).kind).toBe('page of an extension');
});

test('what is damaged is said where it is, and never fails', () => {
  const item = GALLERY.find(({ spec }) => spec.rmid === RM_BTREE_ID);
  if (item === undefined) throw new Error('the gallery has no btree');
  const page = pageOf(item.page);
  page.view.setUint32(24, (8000 | (1 << 15) | (300 << 17)) >>> 0, true);
  expect(damages(decodePage(page, 0, 1))).toEqual(['item 1: it leaves the page']);

  const seed = Math.floor(Math.random() * 0x1_0000_0000);
  const found = { kinds: new Set<string>(), damaged: 0 };
  for (let step = 0; step < 800; step++) {
    const random = new Random(seed, step);
    const bytes = pageOf(random.pick(GALLERY).page);
    mutateBytes(random, bytes.bytes);
    try {
      const decoded = decodePage(bytes, random.chance(0.1) ? 2 : 0, 3);
      found.kinds.add(decoded.kind);
      if (damages(decoded).length > 0) found.damaged++;
    } catch (cause) {
      throw new Error(`seed ${seed}, step ${step}: a damaged page could not be shown`, { cause });
    }
  }
  expect(found.kinds.size).toBeGreaterThan(10);
  expect(found.damaged).toBeGreaterThan(20);
});
