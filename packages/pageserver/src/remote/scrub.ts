import { CorruptionError, type TenantId, type TimelineId } from '@zenith/base';
import {
  DELETE_KEYS_MAX,
  fetchBytes,
  fetchObject,
  RemoteStorageError,
  type RemoteStorage,
} from '@zenith/remote-storage';
import { listAll } from './attach.ts';
import { Concurrency } from './concurrency.ts';
import { layerKey, parseKey, type ParsedKey } from './object-keys.ts';
import { decodeRemoteIndex, REMOTE_INDEX_BYTES_MAX, type RemoteIndex } from './remote-index.ts';

/** A timeline whose index is replaced while it is looked at is looked at again, so often. */
const LOOKS_MAX = 8;

/** The safekeepers' part of remote storage, which they look at themselves. */
const WAL_FOLDER = 'wal/';

/** Objects read at once. */
const READS_AT_ONCE = 8;

/** How to scrub. */
export interface ScrubOptions {
  /** Reads every layer and compares its checksum; without it lengths are compared. */
  readonly readLayers: boolean;
  /** Removes orphans that nobody can come to need. */
  readonly deleteOrphans: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** An object and what is wrong with it. */
export interface ScrubProblem {
  readonly key: string;
  readonly message: string;
}

/** An object that no index names, or an index or claim that a newer one has replaced. */
export interface ScrubOrphan {
  readonly key: string;
  /** Unit: bytes. */
  readonly bytes: number;
  /** False: a pageserver that is at work may be about to name it. */
  readonly removable: boolean;
}

/** What a scrub found. */
export interface ScrubReport {
  readonly timelines: number;
  readonly objects: number;
  /** Unit: bytes. */
  readonly bytes: number;
  /** Layers that the index that counts names and that are not there. */
  readonly missing: readonly ScrubProblem[];
  /** Objects that are not what they must be. */
  readonly corrupt: readonly ScrubProblem[];
  readonly orphans: readonly ScrubOrphan[];
  /** Keys that Zenith does not write. They are left alone. */
  readonly foreign: readonly string[];
  /** Orphans that were removed. */
  readonly deleted: readonly string[];
}

interface Found {
  readonly key: string;
  readonly bytes: number;
  readonly parsed: ParsedKey;
}

/** A timeline's objects in the order of their keys. */
interface TimelineObjects {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly indexes: Found[];
  readonly claims: Found[];
  readonly layers: Found[];
}

interface Findings {
  readonly missing: ScrubProblem[];
  readonly corrupt: ScrubProblem[];
  readonly orphans: ScrubOrphan[];
  readonly deleted: string[];
}

/**
 * Compares what the indexes in remote storage say with what is there. It needs no pageserver, and may run beside one: what that one changes meanwhile is looked at again before it is called missing.
 *
 * An orphan is removed only when nobody can come to name it: its generation is older than the newest claim's, the index that counts is of that newest generation, and no index there is names it. A writer of an older generation cannot make an index count
 * any more, and the newest one began from an index that does not name it. Both are looked at again right before.
 * @throws RemoteStorageError
 */
export async function scrub(storage: RemoteStorage, options: ScrubOptions): Promise<ScrubReport> {
  const { timelines, foreign, objects, bytes } = await listTimelines(storage, [''], options.signal);
  const findings: Findings = { missing: [], corrupt: [], orphans: [], deleted: [] };
  for (const timeline of timelines) await scrubTimeline(storage, timeline, options, findings);
  return { timelines: timelines.length, objects, bytes, foreign, ...findings };
}

async function listTimelines(
  storage: RemoteStorage,
  prefixes: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ timelines: TimelineObjects[]; foreign: string[]; objects: number; bytes: number }> {
  const timelines = new Map<string, TimelineObjects>();
  const foreign: string[] = [];
  let [objects, total] = [0, 0];
  for (const prefix of prefixes)
    for (const { key, length: bytes } of await listAll(storage, prefix, signal)) {
      if (key.startsWith(WAL_FOLDER)) continue;
      objects++;
      total += bytes;
      const parsed = parseKey(key);
      if (parsed === undefined) {
        foreign.push(key);
        continue;
      }
      const { tenant, timeline } = parsed;
      const name = `${tenant}/${timeline}`;
      const known = timelines.get(name) ?? { tenant, timeline, indexes: [], claims: [], layers: [] };
      timelines.set(name, known);
      known[parsed.kind].push({ key, bytes, parsed });
    }
  return { timelines: [...timelines.values()], foreign, objects, bytes: total };
}

/** A timeline's objects as they are now. Layers are listed last: what an index names was put before it, so that it is seen. */
async function listAgain(
  storage: RemoteStorage,
  { tenant, timeline }: TimelineObjects,
  signal: AbortSignal | undefined,
): Promise<TimelineObjects> {
  const prefixes = ['claims', 'indexes', 'layers'].map((kind) => `${kind}/${tenant}/${timeline}/`);
  const { timelines } = await listTimelines(storage, prefixes, signal);
  return timelines[0] ?? { tenant, timeline, indexes: [], claims: [], layers: [] };
}

async function scrubTimeline(
  storage: RemoteStorage,
  listed: TimelineObjects,
  options: ScrubOptions,
  findings: Findings,
): Promise<void> {
  const { signal } = options;
  let found = listed;
  let read = await readIndexes(storage, found, signal);
  for (let look = 1; read.isReplaced && look < LOOKS_MAX; look++) {
    found = await listAgain(storage, found, signal);
    read = await readIndexes(storage, found, signal);
  }
  findings.corrupt.push(...read.corrupt);
  if (read.newest !== undefined) await checkLayers(storage, found, read.newest, options, findings);
  const generation = settledGeneration(found, read);
  const needed = new Set([...read.named, found.indexes.at(-1)?.key, found.claims.at(-1)?.key]);
  const orphans = [...found.indexes, ...found.claims, ...found.layers]
    .filter(({ key }) => !needed.has(key))
    .map(({ key, bytes, parsed }) => ({
      key,
      bytes,
      removable: generation !== undefined && parsed.generation < generation,
    }));
  findings.orphans.push(...orphans);
  if (!options.deleteOrphans || generation === undefined) return;
  const keys = orphans.filter(({ removable }) => removable).map(({ key }) => key);
  findings.deleted.push(...(await deleteOrphans(storage, found, generation, keys, signal)));
}

/** The indexes of a timeline, read. */
interface ReadIndexes {
  /** The index that counts; undefined when it cannot be read, or there is none. */
  readonly newest: RemoteIndex | undefined;
  /** Keys of all layers that any of them names. */
  readonly named: ReadonlySet<string>;
  readonly corrupt: readonly ScrubProblem[];
  /** The newest was removed between listing and reading: there is a newer one. */
  readonly isReplaced: boolean;
}

/** The generation that has the timeline for sure: it has the newest claim, and the index that counts is its own. */
function settledGeneration({ claims }: TimelineObjects, { newest }: ReadIndexes): number | undefined {
  const claimed = claims.at(-1)?.parsed.generation;
  return newest !== undefined && claimed === newest.generation ? claimed : undefined;
}

async function readIndexes(
  storage: RemoteStorage,
  { indexes }: TimelineObjects,
  signal: AbortSignal | undefined,
): Promise<ReadIndexes> {
  const named = new Set<string>();
  const corrupt: ScrubProblem[] = [];
  let newest: RemoteIndex | undefined;
  let isReplaced = false;
  for (const { key, parsed } of indexes) {
    newest = undefined;
    isReplaced = false;
    const source = `${storage.name}: ${key}`;
    try {
      const remote = decodeRemoteIndex(await fetchBytes(storage, key, REMOTE_INDEX_BYTES_MAX, { signal }), source);
      const { tenant, timeline } = remote.index;
      if (tenant !== parsed.tenant || timeline !== parsed.timeline || remote.generation !== parsed.generation)
        throw new CorruptionError('the index is that of another key', { source });
      newest = remote;
      for (const [fileName, { generation }] of remote.layers)
        named.add(layerKey(tenant, timeline, fileName, generation));
    } catch (error) {
      if (isGone(error)) isReplaced = true;
      else if (error instanceof CorruptionError) corrupt.push({ key, message: error.message });
      else throw error;
    }
  }
  return { newest, named, corrupt, isReplaced };
}

/** Looks at every layer that the index that counts names. */
async function checkLayers(
  storage: RemoteStorage,
  found: TimelineObjects,
  remote: RemoteIndex,
  { readLayers, signal }: ScrubOptions,
  findings: Findings,
): Promise<void> {
  const reads = new Concurrency(READS_AT_ONCE);
  const lengths = new Map(found.layers.map(({ key, bytes }) => [key, bytes]));
  const check = async (fileName: string, length: number): Promise<void> => {
    const layer = remote.layers.get(fileName);
    if (layer === undefined) return; // decodeRemoteIndex() has seen to it that there is none
    const key = layerKey(found.tenant, found.timeline, fileName, layer.generation);
    try {
      const listed = lengths.get(key) ?? (await storage.head(key, { signal }))?.length;
      if (listed === undefined) throw new RemoteStorageError('not-found', `there is no object ${key}`);
      if (listed !== length)
        throw new CorruptionError(`the object has ${listed} bytes, not ${length}`, {
          source: `${storage.name}: ${key}`,
        });
      const sink = { begin: () => undefined, write: () => undefined };
      if (readLayers) await fetchObject(storage, key, { length, crc32c: layer.crc32c }, sink, { signal });
    } catch (error) {
      const problem = { key, message: (error as Error).message };
      if (error instanceof CorruptionError) findings.corrupt.push(problem);
      else if (!isGone(error)) throw error;
      // A writer that is at work may have replaced the index, and then removed the layer.
      else if (await isNewest(storage, found)) findings.missing.push(problem);
    }
  };
  const results = await Promise.allSettled(
    remote.index.layers.map(({ fileName, fileBytes }) => reads.run(() => check(fileName, fileBytes))),
  );
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** True while the index that was the newest in the listing still is. */
async function isNewest(storage: RemoteStorage, found: TimelineObjects): Promise<boolean> {
  const now = await listAgain(storage, found, undefined);
  return now.indexes.at(-1)?.key === found.indexes.at(-1)?.key;
}

/** Removes orphans of generations below `generation`, after another look that nobody has taken the timeline meanwhile and no index names them. */
async function deleteOrphans(
  storage: RemoteStorage,
  found: TimelineObjects,
  generation: number,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (keys.length === 0) return [];
  const now = await listAgain(storage, found, signal);
  const read = await readIndexes(storage, now, signal);
  if (settledGeneration(now, read) !== generation) return [];
  const doomed = keys.filter((key) => !read.named.has(key));
  for (let at = 0; at < doomed.length; at += DELETE_KEYS_MAX)
    await storage.delete(doomed.slice(at, at + DELETE_KEYS_MAX), { signal });
  return doomed;
}

function isGone(error: unknown): boolean {
  return error instanceof RemoteStorageError && error.code === 'not-found';
}
