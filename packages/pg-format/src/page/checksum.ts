import { BLCKSZ, type Page } from './page.ts';

// 32 parallel FNV-1a sums over the page's 2048 words.  PG 15-18: checksum_impl.h
const N_SUMS = 32;
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

// Scratch of one synchronous call.
const sums = new Int32Array(N_SUMS);

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
  sums.set(BASE_OFFSETS);
  for (let offset = 0; offset < BLCKSZ; offset += 4 * N_SUMS) {
    for (let i = 0; i < N_SUMS; i++) {
      const at = offset + 4 * i;
      // pd_checksum is the low half of the word at byte 8.
      const word = at === 8 ? view.getInt32(at, true) & 0xffff0000 : view.getInt32(at, true);
      sums[i] = mix(sums[i] as number, word);
    }
  }
  let result = 0;
  for (let i = 0; i < N_SUMS; i++) result ^= mix(mix(sums[i] as number, 0), 0);
  return (((result ^ blockNumber) >>> 0) % 65535) + 1;
}
