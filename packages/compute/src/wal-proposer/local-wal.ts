import { PG_TIMELINE, formatLsn, type Lsn } from '@zenith/base';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { ComputeError, messageOf } from '../errors.ts';

/** Reads WAL that PostgreSQL has written from the segment files in its `pg_wal`. */
export class LocalWal {
  readonly #directory: string;
  readonly #segmentSize: number;

  /** @param segmentSize size of a WAL segment. Unit: bytes */
  constructor(pgdata: string, segmentSize: number) {
    this.#directory = join(pgdata, 'pg_wal');
    this.#segmentSize = segmentSize;
  }

  /**
   * Up to `length` bytes from `from` on, fewer at the end of a segment; all of them must have been streamed by PostgreSQL before, so that they are in the file. The bytes are the caller's.
   * @throws ComputeError `wal-unavailable` when PostgreSQL has removed the segment
   */
  async read(from: Lsn, length: number): Promise<Uint8Array> {
    const inSegment = from % this.#segmentSize;
    const path = join(
      this.#directory,
      walSegmentFileName(PG_TIMELINE, walSegmentNumber(from, this.#segmentSize), this.#segmentSize),
    );
    const bytes = Buffer.allocUnsafeSlow(Math.min(length, this.#segmentSize - inSegment));
    try {
      const file = await open(path, 'r');
      try {
        for (let done = 0; done < bytes.length;) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, inSegment + done);
          if (bytesRead === 0) throw new Error(`it ends ${bytes.length - done} bytes early`);
          done += bytesRead;
        }
        // PostgreSQL recycles segments by renaming them: what was read counts only if the file still has its name.
        if ((await file.stat()).ino !== (await stat(path)).ino) throw new Error('it was recycled while it was read');
      } finally {
        await file.close();
      }
    } catch (error) {
      throw new ComputeError(
        'wal-unavailable',
        `WAL at ${formatLsn(from)} cannot be read from '${path}': ${messageOf(error)}`,
        { cause: error },
      );
    }
    return bytes;
  }
}
