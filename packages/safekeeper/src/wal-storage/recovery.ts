import { assert, CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { RecordEnd } from './record-end.ts';
import type { Segments } from './segments.ts';
import { cutWal } from './truncation.ts';

/** Read at a time. Unit: bytes. */
const CHUNK_LENGTH = 1024 * 1024;

/**
 * Where the WAL on disk ends, record-aligned: decoded forward from the durable commit LSN with the decoder that runs online. Backward tricks have failed elsewhere on records over pages and
 * segments and on switch records. What follows the end, the torn rest of a record or zeroes, is cut off: were it left, a later record of another length could make a
 * piece of it look valid again.
 * @param durable what the files read is on the disk, because the process before ended cleanly. Otherwise all WAL that counts only since it was read here is written again: it may live in the page cache alone
 * @throws CorruptionError when committed WAL is missing
 */
export async function recoverWal(segments: Segments, control: AcceptorControl, durable: boolean): Promise<Lsn> {
  if (control.pendingTruncationLsn !== null) await cutWal(segments, control.pendingTruncationLsn, durable);
  checkCommitted(segments, control);
  const flushLsn = await findWalEnd(segments, control);
  if (!durable) await writeAgain(segments, control.commitLsn, flushLsn);
  await cutWal(segments, flushLsn, durable);
  return flushLsn;
}

/** Reads `[from, to)` and writes it back, durably: pages that the system takes for written are dirty then. */
async function writeAgain(segments: Segments, from: Lsn, to: Lsn): Promise<void> {
  const { disk, size } = segments;
  const buffer = new Uint8Array(CHUNK_LENGTH);
  for (let at: number = from; at < to;) {
    const number = segments.numberOf(at as Lsn);
    const segmentStart = number * size;
    const end = Math.min(to, segmentStart + size);
    const file = disk.open(segments.path(number), 'write');
    try {
      while (at < end) {
        const count = await file.read(buffer, 0, Math.min(CHUNK_LENGTH, end - at), at - segmentStart);
        assert(count > 0, 'what was decoded can be read again');
        await file.writeInBackground(buffer, 0, count, at - segmentStart);
        at += count;
      }
      await file.sync();
    } finally {
      file.close();
    }
  }
}

async function findWalEnd(segments: Segments, control: AcceptorControl): Promise<Lsn> {
  const { disk, size } = segments;
  const { commitLsn } = control;
  const recordEnd = new RecordEnd(control.identity, commitLsn);
  // Online the decoder begins anew wherever a term begins, and accepts a first record whose previous link it cannot check. What was accepted then must be accepted now.
  const termStarts = control.history.map(({ startLsn }) => startLsn).filter((startLsn) => startLsn > commitLsn);
  const buffer = new Uint8Array(CHUNK_LENGTH);
  const last = segments.existing().at(-1) ?? -1;
  let next: number = commitLsn;
  for (let number = segments.numberOf(commitLsn); number <= last && recordEnd.end === undefined; number++) {
    const path = segments.path(number);
    if (!disk.exists(path)) break;
    const segmentEnd = (number + 1) * size;
    const file = disk.open(path, 'read');
    try {
      while (next < segmentEnd && recordEnd.end === undefined) {
        if (termStarts[0] === next) {
          termStarts.shift();
          if (recordEnd.lsn === next) recordEnd.restart(recordEnd.lsn);
          continue;
        }
        const length = Math.min(CHUNK_LENGTH, segmentEnd - next, (termStarts[0] ?? segmentEnd) - next);
        const count = await file.read(buffer, 0, length, next - number * size);
        recordEnd.scan(buffer.subarray(0, count));
        next += count;
        if (count < length) return recordEnd.lsn;
      }
    } finally {
      file.close();
    }
  }
  return recordEnd.lsn;
}

/** Everything from the local start up to the commit LSN must at least have its files. */
function checkCommitted(segments: Segments, control: AcceptorControl): void {
  const { localStartLsn, commitLsn } = control;
  if (commitLsn === localStartLsn) return;
  for (let number = segments.numberOf(localStartLsn); number <= segments.numberOf((commitLsn - 1) as Lsn); number++) {
    const path = segments.path(number);
    if (!segments.disk.exists(path))
      throw new CorruptionError(`the WAL up to ${formatLsn(commitLsn)} is committed, but this segment is missing`, {
        source: path,
      });
  }
}
