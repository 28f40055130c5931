import {
  CLOG,
  COMMIT_TS,
  MULTIXACT_MEMBERS,
  MULTIXACT_OFFSETS,
  formatOf,
  type PgMajor,
  type SlruGeometry,
} from '@zenith/pg-format';
import { SlruKind } from '../key-space/object.ts';

/** The geometry of each SLRU that is kept. */
export const SLRU_GEOMETRY: Readonly<Record<SlruKind, SlruGeometry>> = {
  [SlruKind.clog]: CLOG,
  [SlruKind.multixactOffsets]: MULTIXACT_OFFSETS,
  [SlruKind.multixactMembers]: MULTIXACT_MEMBERS,
  [SlruKind.commitTs]: COMMIT_TS,
};

/** How wide a page number of an SLRU is in WAL records of that version. Unit: bytes. PG 17: 64-bit page numbers, slru.h. */
export function pageNumberSize(major: PgMajor): 4 | 8 {
  return formatOf(major).slruPageNumberLength;
}

/** Reads a page number of an SLRU from a WAL record. */
export function readPageNumber(view: DataView, offset: number, size: 4 | 8): number {
  const low = view.getUint32(offset, true);
  return size === 4 ? low : view.getUint32(offset + 4, true) * 0x1_0000_0000 + low;
}
