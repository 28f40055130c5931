import { join } from 'node:path';
import { assert } from '@zenith/base';
import type { Segments } from './segments.ts';

/** Written at a time. Unit: bytes. */
const CHUNK_LENGTH = 1024 * 1024;

/** Name of a segment that is not complete. */
const TEMPORARY_NAME = 'replacement.tmp';

/** Puts right bytes in the place of a committed segment whose file is damaged, durably and in one step: after a crash it is the one or the other. Who has the old file open reads on in it. @param bytes only borrowed, and not to be changed meanwhile */
export async function replaceSegment(segments: Segments, number: number, bytes: Uint8Array): Promise<void> {
  const { disk, directory, size } = segments;
  assert(bytes.length === size, 'a segment is whole');
  const temporary = join(directory, TEMPORARY_NAME);
  const file = disk.create(temporary);
  let written = false;
  try {
    for (let at = 0; at < size; at += CHUNK_LENGTH)
      await file.writeInBackground(bytes, at, Math.min(CHUNK_LENGTH, size - at), at);
    await file.sync();
    written = true;
  } finally {
    file.close();
    if (!written) disk.remove(temporary);
  }
  disk.rename(temporary, segments.path(number));
  await disk.syncDirectory(directory);
}
