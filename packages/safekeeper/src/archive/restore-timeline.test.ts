import { writeFileSync } from 'node:fs';
import { CorruptionError, crc32c, type Lsn } from '@zenith/base';
import { initialHistory, type TermHistory } from '@zenith/consensus';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { ArchiverLab } from './archiver-lab.test-support.ts';
import { restoreTimeline } from './restore-timeline.ts';

// What comes back from an archive that archivers filled.

const identity = testIdentity();
const { segmentSize, timelineStartLsn } = identity;
let lab: ArchiverLab;

beforeEach(async () => {
  lab = await ArchiverLab.open();
});
afterEach(() => lab.close());

test('a restored timeline ends after the last whole record, terms whose first record has any link in between', async () => {
  const older = new TestWal(identity).grow(segmentSize);
  const switchLsn = older.recordEndBefore((older.endLsn - 3_000) as Lsn);
  const newer = new TestWal(identity, switchLsn, 9, older, (switchLsn - 16) as Lsn).grow(segmentSize);
  const history: TermHistory = [...initialHistory(timelineStartLsn), { term: 2, startLsn: switchLsn }];
  const { archiver, timeline } = await lab.member(1, identity, newer, history);
  await archiver.look();
  const archivedLsn = timeline.state.control.backupLsn;
  expect(archivedLsn).toBe(newer.endLsn - (newer.endLsn % segmentSize));
  expect(switchLsn).toBeGreaterThan(archivedLsn - segmentSize); // the term begins in the last segment

  const target = await lab.emptyRegistry(4);
  const restored = await restoreTimeline(target, lab.archive, identity, testConfiguration(3), timelineStartLsn);
  const endLsn = newer.recordEndBefore(archivedLsn);
  expect(restored).toEqual({ endLsn, restored: true });
  const here = target.find(identity.tenant, identity.timeline);
  const reader = here?.openReader();
  const bytes = new Uint8Array(endLsn - timelineStartLsn);
  await reader?.read(timelineStartLsn, bytes, false);
  reader?.close();
  expect(Buffer.compare(bytes, newer.bytes(timelineStartLsn, endLsn))).toBe(0);
});

test('archived WAL that is not valid in the middle is not taken for its end', async () => {
  const wal = new TestWal(identity).grow(2 * segmentSize);
  const { timeline } = await lab.member(1, identity, wal);
  // As it was archived when nothing was verified: a damaged file, with the right checksum of what is wrong.
  const first = timeline.segments.numberOf(timelineStartLsn);
  const { signal } = new AbortController();
  for (const number of [first, first + 1]) {
    const bytes = new Uint8Array(segmentSize);
    const from = Math.max(number * segmentSize, timelineStartLsn) as Lsn;
    bytes.set(wal.bytes(from, ((number + 1) * segmentSize) as Lsn), from % segmentSize);
    if (number > first) bytes[segmentSize / 2] = (bytes[segmentSize / 2] ?? 0) ^ 1;
    writeFileSync(timeline.segments.path(number), bytes);
    const described = { ...timeline.state.control, commitLsn: ((number + 1) * segmentSize) as Lsn };
    const known = { length: segmentSize, crc32c: crc32c(bytes) };
    await lab.archive.put(number, timeline.segments.path(number), known, described, { replace: false, signal });
  }
  const target = await lab.emptyRegistry(4);
  const restoring = restoreTimeline(target, lab.archive, identity, testConfiguration(3), timelineStartLsn);
  await expect(restoring).rejects.toThrow(CorruptionError);
  await expect(restoring).rejects.toThrow('the archived WAL is not valid');
  expect(target.timelines).toEqual([]);
});
