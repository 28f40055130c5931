import { type Lsn, type SystemId } from '@zenith/base';
import { RM_HEAP_ID, WalStreamEncoder } from '@zenith/pg-format';
import { expect, it } from 'vitest';
import { Head, data } from './head.test-support.ts';

const SYSTEM_ID = '7412345678901234567' as SystemId;
const INIT_PAGE = 0x80;
const RECORDS = 2000;

it('gives everything else its turn within a tenth of a millisecond: a read sees ingest advance by a few records at a time', async () => {
  const head = await Head.create();
  const start = head.timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  const ends: Lsn[] = [];
  for (let n = 0; n < RECORDS; n++) {
    const tuple = data([2, 1], [2, 0x0802], [1, 24], [1, 0], [4, n]);
    const blocks = [{ id: 0, spc: 1663, db: 5, rel: 16384, fork: 0, block: n, willInit: true, data: tuple }];
    const record = { rmid: RM_HEAP_ID, info: INIT_PAGE, xid: 1000, mainData: data([2, 1], [1, 0]), blocks };
    ends.push(encoder.append(record).endLsn);
  }
  // Each look at the clock finds that 10 µs have passed.
  let ms = 0;
  const ingest = { isDone: false };
  const streamed = head.stream(encoder.bytes, () => (ms += 0.01)).finally(() => (ingest.isDone = true));
  const seen: number[] = [];
  while (!ingest.isDone) {
    seen.push(ends.filter((end) => end <= head.timeline.lastRecordLsn).length);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await streamed;
  seen.push(ends.filter((end) => end <= head.timeline.lastRecordLsn).length);
  expect(seen.at(-1)).toBe(RECORDS);
  const steps = seen.slice(1).map((count, turn) => count - (seen[turn] as number));
  expect(Math.max(...steps)).toBeLessThanOrEqual(100);
  expect(steps.filter((step) => step > 0).length).toBeGreaterThanOrEqual(RECORDS / 100);
  expect(head.blockHistory(16384, RECORDS - 1)).toHaveLength(1);
  await head.close();
});
