import type { Lsn } from '@zenith/base';
import type { DiskFile } from '../disk/disk.ts';
import type { Segments } from './segments.ts';

/** Read or written at a time. Unit: bytes. */
const CHUNK_LENGTH = 1024 * 1024;

const ZEROES = Buffer.alloc(CHUNK_LENGTH);

/**
 * Cuts the WAL on disk at `lsn`, zeroes what followed in its segment, and returns when that is durable. Later segments go first and the last one first, so that a crash in between leaves a
 * beginning of what was there. No file of the timeline may be open for writing. Repeating it is harmless.
 *
 * The zeroes are written, not made by truncation: an fdatasync into blocks that exist takes half of one that must allocate them. Where they are already there they stay, if they can be trusted.
 * @param durable what the files read is on the disk; otherwise zeroes that are read are written all the same, since the disk may hold something else
 */
export async function cutWal(segments: Segments, lsn: Lsn, durable: boolean): Promise<void> {
  const { disk, size } = segments;
  for (const number of segments.existing().toReversed()) {
    const start = number * size;
    if (start >= lsn) disk.remove(segments.path(number));
    else if (lsn < start + size) {
      const file = disk.open(segments.path(number), 'write');
      try {
        if (!durable || !(await endsInZeroes(file, lsn - start, size))) {
          for (let at = lsn - start; at < size; at += CHUNK_LENGTH)
            await file.writeInBackground(ZEROES, 0, Math.min(CHUNK_LENGTH, size - at), at);
        }
        await file.sync();
      } finally {
        file.close();
      }
    }
  }
  await disk.syncDirectory(segments.directory);
}

/** True when the file is `size` bytes long and nothing but zeroes lies from `from` on. */
async function endsInZeroes(file: DiskFile, from: number, size: number): Promise<boolean> {
  const chunk = Buffer.allocUnsafe(CHUNK_LENGTH);
  for (let at = from; at < size; at += CHUNK_LENGTH) {
    const length = Math.min(CHUNK_LENGTH, size - at);
    if ((await file.read(chunk, 0, length, at)) < length || chunk.compare(ZEROES, 0, length, 0, length) !== 0)
      return false;
  }
  return true;
}
