import { dirname, join } from 'node:path';
import type { Lsn } from '@zenith/base';
import type { AcceptorControl, TimelineIdentity } from '@zenith/consensus';
import { CleanMarker } from '../control-file/clean-marker.ts';
import { ControlFile } from '../control-file/control-file.ts';
import type { Disk } from '../disk/disk.ts';
import { Segments } from '../wal-storage/segments.ts';
import { writeSegmentPrefix } from '../wal-storage/segment-prefix.ts';
import { WalWriter } from '../wal-storage/wal-writer.ts';

/** What a timeline that is new to this safekeeper begins with. */
export interface TimelineContent {
  readonly identity: TimelineIdentity;
  /** Where its WAL begins here. */
  readonly localStartLsn: Lsn;
  /** Writes the WAL there is, from {@link localStartLsn} on. @returns what the control file is to say */
  write(writer: WalWriter): Promise<AcceptorControl>;
}

/** The directory of a timeline. */
function timelineDirectory(dataDirectory: string, identity: TimelineIdentity): string {
  return join(dataDirectory, 'tenants', identity.tenant, identity.timeline);
}

/** Makes a timeline's files, durably. Everything is made in a temporary directory, whose rename is the moment the timeline exists; when something throws, it does not. @returns its directory */
export async function makeTimeline(disk: Disk, dataDirectory: string, content: TimelineContent): Promise<string> {
  const { identity } = content;
  const directory = timelineDirectory(dataDirectory, identity);
  const temporary = `${directory}.tmp`;
  disk.remove(temporary);
  try {
    await makeFiles(disk, temporary, content);
  } catch (error) {
    disk.remove(temporary); // a full disk gets its room back
    throw error;
  }
  // What a crash left here before had no control file: no timeline.
  if (disk.exists(directory)) disk.remove(directory);
  disk.rename(temporary, directory);
  for (let above = dirname(directory); above.length >= dataDirectory.length; above = dirname(above))
    await disk.syncDirectory(above);
  return directory;
}

async function makeFiles(disk: Disk, directory: string, content: TimelineContent): Promise<void> {
  const { identity, localStartLsn } = content;
  disk.makeDirectory(directory);
  const segments = new Segments(disk, directory, identity.segmentSize);
  const writer = new WalWriter(segments, localStartLsn);
  let control: AcceptorControl;
  try {
    await writer.prepareFirst();
    if (localStartLsn === identity.timelineStartLsn) await writeSegmentPrefix(segments, identity);
    control = await content.write(writer);
    await writer.sync();
  } finally {
    await writer.close();
  }
  await new ControlFile(disk, directory).save(control);
  await new CleanMarker(disk, directory).put();
}
