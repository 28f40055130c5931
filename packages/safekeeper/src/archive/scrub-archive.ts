import { CorruptionError, formatLsn, PG_TIMELINE, type Lsn } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import { isWalSegmentSize, PG_MAJORS, walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { RemoteStorageError, type ObjectInfo, type RemoteStorage } from '@zenith/remote-storage';
import { ArchivedWal } from './archived-wal.ts';
import {
  descriptionKey,
  readDescription,
  readSegment,
  segmentKey,
  WAL_FOLDER,
  type SegmentDescription,
} from './wal-archive.ts';

/** How to look at the archive. */
export interface ScrubArchiveOptions {
  /** Reads every segment, compares its checksum and decodes the WAL in it; without it lengths are compared. */
  readonly readSegments: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** An object and what is wrong with it. */
export interface ArchiveProblem {
  readonly key: string;
  readonly message: string;
  /** Where the record or WAL page begins that is not valid, when its WAL was decoded. As text. */
  readonly lsn?: string;
}

/** What was found in the archive. */
export interface ArchiveReport {
  readonly timelines: number;
  readonly objects: number;
  /** Unit: bytes. */
  readonly bytes: number;
  /** Segments that a description names, and descriptions between others, that are not there. */
  readonly missing: readonly ArchiveProblem[];
  /** Objects that are not what they must be. */
  readonly corrupt: readonly ArchiveProblem[];
  /** Segments that no description names: one that was replaced, or left by a safekeeper that died before it came to that. A safekeeper that is at work may be about to name it. Unit of the size: bytes. */
  readonly orphans: readonly { readonly key: string; readonly bytes: number }[];
  /** Keys that Zenith does not write. */
  readonly foreign: readonly string[];
}

/** A timeline's objects. */
interface TimelineObjects {
  readonly descriptions: { readonly key: string; readonly name: string }[];
  readonly segments: Map<string, number>;
}

/** Of a timeline, what was seen so far. */
interface SeenSegments {
  readonly identity: TimelineIdentity;
  readonly wal: ArchivedWal;
  /** Checksums of the segments, by number. */
  readonly checksums: Map<number, number>;
}

interface Findings {
  readonly missing: ArchiveProblem[];
  readonly corrupt: ArchiveProblem[];
  readonly orphans: { readonly key: string; readonly bytes: number }[];
}

/** `wal/<tenant>/<timeline>/<segment>`, then `.json` or a checksum. */
const KEY = /^(wal\/[0-9a-f]{32}\/[0-9a-f]{32}\/)([0-9A-F]{24})(?:\.json|-[0-9a-f]{8})$/;

/**
 * Compares what the descriptions in the archive say with what is there, and verifies each timeline's WAL by the WAL itself, over all its segments in order; one segment is in memory at a time. It needs no safekeeper and may run beside some: what is gone by the time it is read was removed with its timeline, or replaced.
 * @throws RemoteStorageError
 */
export async function scrubArchive(storage: RemoteStorage, options: ScrubArchiveOptions): Promise<ArchiveReport> {
  const timelines = new Map<string, TimelineObjects>();
  const foreign: string[] = [];
  let [objects, bytes] = [0, 0];
  for await (const { key, length } of listAll(storage, options.signal)) {
    objects++;
    bytes += length;
    const [, folder = '', name = ''] = KEY.exec(key) ?? [];
    if (folder === '') {
      foreign.push(key);
      continue;
    }
    const timeline = timelines.get(folder) ?? { descriptions: [], segments: new Map<string, number>() };
    timelines.set(folder, timeline);
    if (key.endsWith('.json')) timeline.descriptions.push({ key, name });
    else timeline.segments.set(key, length);
  }
  const findings: Findings = { missing: [], corrupt: [], orphans: [] };
  for (const [folder, timeline] of timelines) await scrubTimeline(storage, folder, timeline, options, findings);
  return { timelines: timelines.size, objects, bytes, foreign, ...findings };
}

async function* listAll(storage: RemoteStorage, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo> {
  let after: string | undefined;
  do {
    const page = await storage.list(WAL_FOLDER, { after, signal });
    yield* page.objects;
    after = page.next;
  } while (after !== undefined);
}

async function scrubTimeline(
  storage: RemoteStorage,
  folder: string,
  { descriptions, segments }: TimelineObjects,
  options: ScrubArchiveOptions,
  findings: Findings,
): Promise<void> {
  const named = new Set<string>();
  let previous: number | undefined;
  let seen: SeenSegments | undefined;
  let corrupt = false;
  for (const { key, name } of descriptions) {
    let described: SegmentDescription | undefined;
    try {
      described = await readDescription(storage, key, options.signal);
      if (described === undefined) continue; // removed since
      checkDescription(described, key, folder, name);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      findings.corrupt.push({ key, message: error.message });
      corrupt = true;
      continue;
    }
    const { identity, commitLsn } = described.control;
    const number = walSegmentNumber((commitLsn - 1) as Lsn, identity.segmentSize);
    const expected =
      previous === undefined ? walSegmentNumber(identity.timelineStartLsn, identity.segmentSize) : previous + 1;
    // One that cannot be read is no gap.
    for (let gap = corrupt ? number : expected; gap < number; gap++)
      findings.missing.push({
        key: descriptionKey(identity, gap),
        message: `the WAL from ${formatLsn((gap * identity.segmentSize) as Lsn)} on is not archived, but later WAL is`,
      });
    corrupt = false;
    previous = number;
    const object = segmentKey(identity, number, described.crc32c);
    named.add(object);
    const bytes = await checkSegment(storage, key, object, described, segments.get(object), options, findings);
    if (bytes === undefined) continue;
    seen ??= { identity, wal: new ArchivedWal(identity), checksums: new Map() };
    seen.checksums.set(number, described.crc32c);
    await checkWal(storage, seen, number, described, bytes, options, findings);
  }
  for (const [key, bytes] of segments) if (!named.has(key)) findings.orphans.push({ key, bytes });
}

/** @throws CorruptionError when it describes another segment than its key says */
function checkDescription({ length, control }: SegmentDescription, key: string, folder: string, name: string): void {
  const { identity, commitLsn } = control;
  if (!isWalSegmentSize(identity.segmentSize) || !PG_MAJORS.some((major) => major === identity.pgMajor))
    throw new CorruptionError('the description is of WAL that no supported PostgreSQL writes', { source: key });
  const number = walSegmentNumber((commitLsn - 1) as Lsn, identity.segmentSize);
  if (descriptionKey(identity, number) !== `${folder}${name}.json`)
    throw new CorruptionError('the description is that of another segment', { source: key });
  if (length !== identity.segmentSize || commitLsn % identity.segmentSize !== 0)
    throw new CorruptionError('the description is not that of a whole segment', { source: key });
}

/** @returns the bytes of a segment that is what its description says, where they are to be read */
async function checkSegment(
  storage: RemoteStorage,
  description: string,
  key: string,
  { length, crc32c }: SegmentDescription,
  listed: number | undefined,
  { readSegments, signal }: ScrubArchiveOptions,
  findings: Findings,
): Promise<Uint8Array | undefined> {
  try {
    const found = listed ?? (await storage.head(key, { signal }))?.length;
    if (found === undefined) throw new RemoteStorageError('not-found', `there is no object ${key}`);
    if (found !== length)
      throw new CorruptionError(`the object has ${found} bytes, not ${length}`, { source: `${storage.name}: ${key}` });
    return readSegments ? await readSegment(storage, key, { length, crc32c }, signal) : undefined;
  } catch (error) {
    const problem = { key, message: (error as Error).message };
    if (error instanceof CorruptionError) findings.corrupt.push(problem);
    else if (!(error instanceof RemoteStorageError && error.code === 'not-found')) throw error;
    // It may have been replaced, or removed with its timeline, since it was listed.
    else if ((await readDescription(storage, description, signal))?.crc32c === crc32c) findings.missing.push(problem);
    return undefined;
  }
}

/** Verifies the WAL in a segment as it goes on from the ones before. */
async function checkWal(
  storage: RemoteStorage,
  { identity, wal, checksums }: SeenSegments,
  number: number,
  { control }: SegmentDescription,
  bytes: Uint8Array,
  { signal }: ScrubArchiveOptions,
  findings: Findings,
): Promise<void> {
  const damage = await wal.verify(number, control.history, bytes);
  if (damage === undefined) return;
  const first = walSegmentNumber(damage.lsn, identity.segmentSize);
  // One of them may have been replaced since it was read, and the others are those that go with the new one: those of the record that is not valid, and of the one before it, which it names.
  for (let at = first - 1; at <= number; at++)
    if (
      checksums.has(at) &&
      (await readDescription(storage, descriptionKey(identity, at), signal))?.crc32c !== checksums.get(at)
    )
      return;
  const lsn = formatLsn(damage.lsn);
  const name = walSegmentFileName(PG_TIMELINE, number, identity.segmentSize);
  findings.corrupt.push({
    key: segmentKey(identity, first, checksums.get(first) as number),
    message: `${lsn}: ${damage.message}${first === number ? '' : `, and it reaches into ${name}`}`,
    lsn,
  });
}
