import { lsn, newTenantId, newTimelineId } from '@zenith/base';
import { expect, test } from 'vitest';
import { encodeCheckedJson } from './checked-json.ts';
import { decodeIndex, encodeIndex, isSoundIndex } from './timeline-index.ts';

const BYTES = encodeIndex({
  tenant: newTenantId(),
  timeline: newTimelineId(),
  pgMajor: 18,
  initialLsn: lsn(0x1000),
  ancestor: undefined,
  diskConsistentLsn: lsn(0x2000),
  nextGeneration: 3,
  layers: [{ fileName: 'one', kind: 0, level: 1, fileBytes: 8192, crc32c: 7 }],
});

test('an index is sound by its checksum alone where decoding it finds nothing wrong', () => {
  expect(isSoundIndex(BYTES)).toBe(true);
  expect(decodeIndex(BYTES, 'index').nextGeneration).toBe(3);
  const changed: Uint8Array[] = [];
  for (let at = 0; at < BYTES.length; at++) {
    changed.push(BYTES.subarray(0, at));
    for (let bit = 0; bit < 8; bit++) changed.push(BYTES.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte)));
  }
  changed.push(Uint8Array.of(...BYTES, 32), Uint8Array.of(...BYTES, ...BYTES));
  for (const bytes of changed) expect(isSoundIndex(bytes)).toBe(false);
});

test('an index of another format is not sound', () => {
  expect(isSoundIndex(encodeCheckedJson({ format: 2, tenant: 'a' }))).toBe(false);
});
