import { BLCKSZ, type Page } from './page.ts';

/** The one algorithm there is, in the control file. PG 15-18: bufpage.h. */
export const PG_DATA_CHECKSUM_VERSION = 1;

// 32 parallel FNV-1a sums over the page's 2048 words.  PG 15-18: checksum_impl.h
const N_SUMS = 32;
const LANES = 4;
const FNV_PRIME = 16777619;
const BASE_OFFSETS = Int32Array.of(
  0x5b1f36e9,
  0xb8525960,
  0x02ab50aa,
  0x1de66d2a,
  0x79ff467a,
  0x9bb9f8a3,
  0x217e7cd2,
  0x83e13d2c,
  0xf8d4474f,
  0xe39eb970,
  0x42c6ae16,
  0x993216fa,
  0x7b093b5d,
  0x98daff3c,
  0xf718902a,
  0x0b1c9cdb,
  0xe58f764b,
  0x187636bc,
  0x5d7b3bb1,
  0xe73de7de,
  0x92bec979,
  0xcca6c0b2,
  0x304a0979,
  0x85aa43d4,
  0x783125bb,
  0x6ca8eaa2,
  0xe407eac6,
  0x4b5cfc3e,
  0x9fbf8c76,
  0x15ca20be,
  0xf2ca9fd3,
  0x959bd756,
);

function mix(sum: number, value: number): number {
  const word = sum ^ value;
  return Math.imul(word, FNV_PRIME) ^ (word >>> 17);
}

/**
 * The checksum `page` must carry as block `blockNumber` of its fork, 1..65535. The stored checksum does not go into it, and the page is not
 * changed. Not for new pages, which carry none. PG: pg_checksum_page(), checksum_impl.h.
 */
export function pageChecksum(page: Page, blockNumber: number): number {
  const view = page.view;
  let result = 0;
  // Each sum needs the one before it: four side by side keep the processor busy.
  for (let lane = 0; lane < N_SUMS; lane += LANES) {
    let a = BASE_OFFSETS[lane] as number;
    let b = BASE_OFFSETS[lane + 1] as number;
    let c = BASE_OFFSETS[lane + 2] as number;
    let d = BASE_OFFSETS[lane + 3] as number;
    for (let at = 4 * lane; at < BLCKSZ; at += 4 * N_SUMS) {
      a = mix(a, view.getInt32(at, true));
      b = mix(b, view.getInt32(at + 4, true));
      // pd_checksum is the low half of the word at byte 8.
      c = mix(c, at === 0 ? view.getInt32(8, true) & 0xffff0000 : view.getInt32(at + 8, true));
      d = mix(d, view.getInt32(at + 12, true));
    }
    result ^= mix(mix(a, 0), 0) ^ mix(mix(b, 0), 0) ^ mix(mix(c, 0), 0) ^ mix(mix(d, 0), 0);
  }
  return (((result ^ blockNumber) >>> 0) % 65535) + 1;
}
