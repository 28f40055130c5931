import { CorruptionError, PG_TIMELINE } from '@zenith/base';
import type { AcceptorControl, TimelineIdentity } from '@zenith/consensus';
import { parseWalSegmentFileName, walSegmentFileName } from '@zenith/pg-format';
import {
  bytesSource,
  DELETE_KEYS_MAX,
  fetchBytes,
  fetchObject,
  fileSource,
  RemoteStorageError,
  type RemoteStorage,
} from '@zenith/remote-storage';
import * as v from 'valibot';
import { decodeControlFile, encodeControlFile } from '../control-file/codec.ts';

/** Where the WAL of all timelines is. */
export const WAL_FOLDER = 'wal/';

// wal/<tenant>/<timeline>/<segment>-<CRC-32C>   a segment, byte for byte, named as PostgreSQL names it
// wal/<tenant>/<timeline>/<segment>.json        which object is that segment, and what the control file said: put once, and only then the segment is archived

/** Longest description that is read: a control file in base64. Unit: bytes. */
const DESCRIPTION_LENGTH_MAX = 16 * 1024 * 1024;

const schema = v.strictObject({
  format: v.literal(1),
  length: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  crc32c: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  control: v.pipe(v.string(), v.base64()),
});

/** What the archive says of a segment. */
export interface SegmentDescription {
  /** Unit: bytes. */
  readonly length: number;
  readonly crc32c: number;
  /** What the control file of the safekeeper that archived it said, its history cut to the segment's end. */
  readonly control: AcceptorControl;
}

/** A segment in the archive. */
export interface ArchivedSegment extends SegmentDescription {
  readonly number: number;
}

/** The archive of all timelines' WAL: whole segments, committed to their last byte, in remote storage. Whoever comes second with a segment finds it there; a description is replaced only after a timeline was restored from the archive, for the segment in which it ended. */
export class WalArchive {
  readonly #storage: RemoteStorage;

  constructor(storage: RemoteStorage) {
    this.#storage = storage;
  }

  /** A segment, undefined when it is not in the archive. @throws CorruptionError, RemoteStorageError */
  async find(identity: TimelineIdentity, number: number): Promise<ArchivedSegment | undefined> {
    const described = await readDescription(this.#storage, descriptionKey(identity, number));
    return described === undefined ? undefined : { number, ...described };
  }

  /** The numbers of a timeline's segments, ascending. @throws RemoteStorageError */
  async list(identity: TimelineIdentity): Promise<readonly number[]> {
    const folder = folderOf(identity);
    const numbers: number[] = [];
    let after: string | undefined;
    do {
      const page = await this.#storage.list(folder, { after });
      for (const { key } of page.objects) {
        const name = /^(.*)\.json$/.exec(key.slice(folder.length))?.[1];
        const parsed = name === undefined ? undefined : parseWalSegmentFileName(name, identity.segmentSize);
        if (parsed?.pgTimeline === PG_TIMELINE) numbers.push(parsed.segmentNumber);
      }
      after = page.next;
    } while (after !== undefined);
    return numbers.toSorted((a, b) => a - b);
  }

  /**
   * Puts the file of a segment that will not be changed any more; when another safekeeper was quicker, the archive keeps that one's.
   * @param known length and checksum of the bytes that were verified: a file that has others by now is refused
   * @param replace the archive has another segment of this number, from before the timeline was restored
   * @throws CorruptionError, RemoteStorageError, what reading the file throws
   */
  async put(
    number: number,
    path: string,
    known: { readonly length: number; readonly crc32c: number },
    control: AcceptorControl,
    { replace, signal }: { readonly replace: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    const { identity } = control;
    const { length, crc32c } = known;
    await this.#storage.put(segmentKey(identity, number, crc32c), fileSource(path, { length, crc32c }), { signal });
    const text = JSON.stringify({
      format: 1,
      length,
      crc32c,
      control: Buffer.from(encodeControlFile(control)).toString('base64'),
    });
    const key = descriptionKey(identity, number);
    try {
      await this.#storage.put(key, bytesSource(key, Buffer.from(text, 'utf8')), { ifAbsent: !replace, signal });
    } catch (error) {
      if (!(error instanceof RemoteStorageError && error.code === 'already-exists')) throw error;
    }
  }

  /** All bytes of a segment; undefined when it is not in the archive. @throws CorruptionError, RemoteStorageError */
  async read(identity: TimelineIdentity, number: number): Promise<Uint8Array | undefined> {
    const found = await this.find(identity, number);
    if (found === undefined) return undefined;
    return readSegment(this.#storage, segmentKey(identity, number, found.crc32c), found);
  }

  /** Removes all of a timeline's WAL; harmless to repeat, and when there is none. When it throws, some may be gone. @throws RemoteStorageError */
  async remove(timeline: Pick<TimelineIdentity, 'tenant' | 'timeline'>, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { objects } = await this.#storage.list(folderOf(timeline), { limit: DELETE_KEYS_MAX, signal });
      if (objects.length === 0) return;
      await this.#storage.delete(
        objects.map(({ key }) => key),
        { signal },
      );
    }
  }

  /** Lets go of connections. */
  close(): void {
    this.#storage.close();
  }
}

/** All bytes of the segment under a key. @throws CorruptionError when they are not what its description says; RemoteStorageError */
export async function readSegment(
  storage: RemoteStorage,
  key: string,
  expected: Pick<SegmentDescription, 'length' | 'crc32c'>,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(expected.length);
  let at = 0;
  const sink = {
    begin: () => {
      at = 0;
    },
    write: (chunk: Uint8Array) => {
      bytes.set(chunk, at);
      at += chunk.length;
    },
  };
  await fetchObject(storage, key, expected, sink, { signal });
  return bytes;
}

/** What the description under a key says; undefined when there is none. @throws CorruptionError, RemoteStorageError */
export async function readDescription(
  storage: RemoteStorage,
  key: string,
  signal?: AbortSignal,
): Promise<SegmentDescription | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await fetchBytes(storage, key, DESCRIPTION_LENGTH_MAX, { signal });
  } catch (error) {
    if (error instanceof RemoteStorageError && error.code === 'not-found') return undefined;
    throw error;
  }
  const source = `${storage.name}: ${key}`;
  try {
    const { length, crc32c, control } = v.parse(schema, JSON.parse(Buffer.from(bytes).toString('utf8')));
    return { length, crc32c, control: decodeControlFile(Buffer.from(control, 'base64'), source) };
  } catch (error) {
    throw new CorruptionError(
      `no description of a WAL segment: ${(error as Error).message}`,
      { source },
      { cause: error },
    );
  }
}

function folderOf({ tenant, timeline }: Pick<TimelineIdentity, 'tenant' | 'timeline'>): string {
  return `${WAL_FOLDER}${tenant}/${timeline}/`;
}

function prefix(identity: TimelineIdentity, number: number): string {
  return `${folderOf(identity)}${walSegmentFileName(PG_TIMELINE, number, identity.segmentSize)}`;
}

/** Key of a segment's description. */
export function descriptionKey(identity: TimelineIdentity, number: number): string {
  return `${prefix(identity, number)}.json`;
}

/** Key of a segment's bytes. */
export function segmentKey(identity: TimelineIdentity, number: number, crc32c: number): string {
  return `${prefix(identity, number)}-${crc32c.toString(16).padStart(8, '0')}`;
}
