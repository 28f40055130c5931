import { CorruptionError, type Lsn } from '@zenith/base';
import { BLCKSZ, decodeControlFile, pageChecksum, pageIsNew, setPageChecksum, type Page } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import type { Timeline } from '../timeline/timeline.ts';

/**
 * True when the cluster in a timeline has data checksums. That cannot change while a server runs, so it is the same all along a timeline and its ancestors. False for one without a cluster in it.
 * @param lsn one at which the timeline can be read; an ancestor that has not ingested all of its WAL yet cannot be read at the end
 * @throws as {@link Timeline.readSmall}; CorruptionError
 */
export function hasDataChecksums(timeline: Timeline, lsn: Lsn): boolean {
  const controlFile = timeline.readSmall(timeline.find(ObjectKind.controlFile, 0, 0, 0, 0), lsn);
  if (controlFile === undefined || controlFile.length === 0) return false;
  try {
    return decodeControlFile(controlFile).dataChecksumVersion !== 0;
  } catch (cause) {
    throw new CorruptionError(
      `the control file of timeline ${timeline.timeline} cannot be read: ${(cause as Error).message}`,
      undefined,
      { cause },
    );
  }
}

/**
 * Gives `count` rebuilt pages, blocks `firstBlock` on of their fork, the pd_checksum they must have. What they carry until then is whatever the image had that they were rebuilt from: redo does not keep it up to date, as
 * PostgreSQL's does not, which sets it when it writes a page. A page that was never initialised carries none. PG: PageSetChecksumCopy(), bufpage.c
 */
export function setPageChecksums(out: Uint8Array, outOffset: number, firstBlock: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = outOffset + i * BLCKSZ;
    const page: Page = {
      bytes: out.subarray(at, at + BLCKSZ),
      view: new DataView(out.buffer, out.byteOffset + at, BLCKSZ),
    };
    if (!pageIsNew(page)) setPageChecksum(page, pageChecksum(page, firstBlock + i));
  }
}
