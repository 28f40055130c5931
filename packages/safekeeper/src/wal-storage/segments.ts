import { join } from 'node:path';
import { PG_TIMELINE, type Lsn } from '@zenith/base';
import { parseWalSegmentFileName, walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import type { Disk } from '../disk/disk.ts';

/** The WAL segment files of one timeline, named as PostgreSQL names them, all of one size. */
export class Segments {
  readonly disk: Disk;
  /** The timeline's directory. */
  readonly directory: string;
  /** Unit: bytes. */
  readonly size: number;

  constructor(disk: Disk, directory: string, size: number) {
    this.disk = disk;
    this.directory = directory;
    this.size = size;
  }

  /** Number of the segment that holds the byte at `lsn`. */
  numberOf(lsn: Lsn): number {
    return walSegmentNumber(lsn, this.size);
  }

  /** Path of a segment's file. */
  path(number: number): string {
    return join(this.directory, walSegmentFileName(PG_TIMELINE, number, this.size));
  }

  /** The numbers of all segments there are, ascending. */
  existing(): readonly number[] {
    const numbers = this.disk.list(this.directory).flatMap((name) => {
      const parsed = parseWalSegmentFileName(name, this.size);
      return parsed?.pgTimeline === PG_TIMELINE ? [parsed.segmentNumber] : [];
    });
    return numbers.toSorted((a, b) => a - b);
  }
}
