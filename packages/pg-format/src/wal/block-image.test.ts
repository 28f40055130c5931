import { INVALID_LSN, lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { BLCKSZ, allocatePage } from '../page/page.ts';
import { restoreBlockImage } from './block-image.ts';
import { BKPIMAGE_COMPRESS_LZ4, BKPIMAGE_COMPRESS_PGLZ, BKPIMAGE_COMPRESS_ZSTD } from './constants.ts';
import { decodeRecord } from './decode-record.ts';
import { encodeRecord } from './encode-record.ts';
import { WalRecord } from './record.ts';
import { RM_XLOG_ID } from './resource-managers.ts';

const LETTER = 0x61;

/** `length` times the same letter. One literal, then references of 273 to the byte before it, eight items a control byte. */
function pglz(length: number): number[] {
  const items: number[][] = [[LETTER]];
  let rest = length - 1;
  for (; rest >= 18; rest -= Math.min(rest, 273)) items.push([0x0f, 1, Math.min(rest, 273) - 18]);
  if (rest > 0) items.push([rest - 3, 1]);
  const bytes: number[] = [];
  for (let i = 0; i < items.length; i += 8) bytes.push(i === 0 ? 0xfe : 0xff, ...items.slice(i, i + 8).flat());
  return bytes;
}

/** One literal, one match, five literals. */
function lz4(length: number): number[] {
  const extension = length - 6 - 4 - 15;
  return [
    0x1f,
    LETTER,
    1,
    0,
    ...Array.from({ length: Math.floor(extension / 255) }, () => 255),
    extension % 255,
    0x50,
    ...Array.from({ length: 5 }, () => LETTER),
  ];
}

/** One block that is a run. */
function zstd(length: number): number[] {
  const header = 1 | (1 << 1) | (length << 3);
  const size = length - 256;
  return [
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0x60,
    size & 0xff,
    size >> 8,
    header & 0xff,
    (header >> 8) & 0xff,
    header >> 16,
    LETTER,
  ];
}

function recordWith(compression: number, bytes: Uint8Array, holeOffset: number, holeLength: number): WalRecord {
  const encoded = encodeRecord(
    {
      rmid: RM_XLOG_ID,
      info: 0xb0,
      blocks: [
        {
          id: 0,
          spc: 1663,
          db: 5,
          rel: 16384,
          fork: 0,
          block: 3,
          image: { bytes, apply: true, holeOffset, holeLength, compression },
        },
      ],
    },
    lsn(0x1000),
  );
  const record = new WalRecord();
  decodeRecord(18, encoded, new DataView(encoded.buffer), 0, lsn(0x2000), INVALID_LSN, record);
  return record;
}

describe.each([
  ['pglz', BKPIMAGE_COMPRESS_PGLZ, pglz],
  ['lz4', BKPIMAGE_COMPRESS_LZ4, lz4],
  ['zstd', BKPIMAGE_COMPRESS_ZSTD, zstd],
] as const)('an image compressed with %s', (_name, compression, compress) => {
  test.each([
    [0, 0],
    [100, 3000],
  ])('is restored with its hole at %i of %i bytes', (holeOffset, holeLength) => {
    const record = recordWith(compression, Uint8Array.from(compress(BLCKSZ - holeLength)), holeOffset, holeLength);
    const page = allocatePage();
    page.bytes.fill(0x55);
    restoreBlockImage(record, 0, page);
    const expected = new Uint8Array(BLCKSZ).fill(LETTER);
    expected.fill(0, holeOffset, holeOffset + holeLength);
    expect(Buffer.compare(page.bytes, expected)).toBe(0);
  });

  test('that makes another length than the page is refused, with its record and block', () => {
    for (const length of [BLCKSZ - 1, BLCKSZ - 100]) {
      const record = recordWith(compression, Uint8Array.from(compress(length)), 0, 0);
      expect(() => restoreBlockImage(record, 0, allocatePage())).toThrow(
        'WAL record at 0/2000: the image of block 0 cannot be decompressed',
      );
    }
  });
});
