import { CorruptionError, type TenantId, type TimelineId } from '@zenith/base';
import {
  bytesSource,
  DELETE_KEYS_MAX,
  fetchBytes,
  RemoteStorageError,
  type ObjectInfo,
  type RemoteStorage,
} from '@zenith/remote-storage';
import { PageserverError } from '../errors.ts';
import { claimKey, claimPrefix, indexKey, indexPrefix, layerPrefix } from './object-keys.ts';
import { decodeRemoteIndex, encodeRemoteIndex, REMOTE_INDEX_BYTES_MAX, type RemoteIndex } from './remote-index.ts';

/** Longest claim. Unit: bytes. */
const CLAIM_BYTES_MAX = 1024;

/** An index that is replaced while it is looked for is looked for again, so often. */
const LOOKS_MAX = 8;

/** Who writes: a data directory, and which of its turns. */
export interface RemoteWriter {
  readonly storage: RemoteStorage;
  /** Names the data directory for good. */
  readonly identity: string;
  /** Grows with every start of a pageserver that owns the timelines, whichever machine it is on; given by the control plane. */
  readonly generation: number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/**
 * Takes a timeline for this writer's generation, then reads the newest index there is. The order matters: a writer of an older generation looks for newer claims *after* it has put an index and *before* it
 * relies on it or removes anything. So either it sees this claim and stops, or this call sees its index.
 * @returns the newest index of this or an older generation; undefined when there is none
 * @throws PageserverError `superseded` when a newer generation, or another data directory with this one, has the timeline; CorruptionError; RemoteStorageError
 */
export async function attach(
  writer: RemoteWriter,
  tenant: TenantId,
  timeline: TimelineId,
): Promise<RemoteIndex | undefined> {
  const { storage, signal } = writer;
  await claim(writer, tenant, timeline);
  await requireNewest(writer, tenant, timeline);
  for (let look = 0; look < LOOKS_MAX; look++) {
    const newest = (await listAll(storage, indexPrefix(tenant, timeline), signal)).at(-1);
    if (newest === undefined) return undefined;
    try {
      return decodeRemoteIndex(
        await fetchBytes(storage, newest.key, REMOTE_INDEX_BYTES_MAX, { signal }),
        `${storage.name}: ${newest.key}`,
      );
    } catch (error) {
      // An older generation that is on its last step has replaced it meanwhile.
      if (!(error instanceof RemoteStorageError) || error.code !== 'not-found') throw error;
    }
  }
  throw new RemoteStorageError('unavailable', `the index of timeline ${timeline} is being replaced all the time`);
}

/** @throws PageserverError `superseded` when there is a newer claim than the writer's */
export async function requireNewest(writer: RemoteWriter, tenant: TenantId, timeline: TimelineId): Promise<void> {
  const { storage, generation, signal } = writer;
  const after = claimKey(tenant, timeline, generation);
  const { objects } = await storage.list(claimPrefix(tenant, timeline), { after, limit: 1, signal });
  if (objects.length > 0) throw superseded(writer, timeline);
}

/**
 * Puts an index, once. @throws PageserverError `superseded` when another writer of the same generation has put another one under its number
 */
export async function putIndex(writer: RemoteWriter, remote: RemoteIndex): Promise<void> {
  const { tenant, timeline } = remote.index;
  await putOnce(writer, timeline, indexKey(tenant, timeline, remote), encodeRemoteIndex(remote));
}

/** The keys of a timeline's indexes and claims that come before those of `remote`, the newest: nobody needs them any more. */
export async function superfluousKeys(writer: RemoteWriter, remote: RemoteIndex): Promise<readonly string[]> {
  const { storage, signal } = writer;
  const { tenant, timeline } = remote.index;
  const before = async (prefix: string, own: string): Promise<readonly string[]> =>
    (await listAll(storage, prefix, signal)).map(({ key }) => key).filter((key) => key < own);
  return [
    ...(await before(indexPrefix(tenant, timeline), indexKey(tenant, timeline, remote))),
    ...(await before(claimPrefix(tenant, timeline), claimKey(tenant, timeline, remote.generation))),
  ];
}

/**
 * Removes everything of a timeline: its indexes, so that nobody restores it, then its layers, then older claims. The writer's own claim stays, so that an older generation that comes late sees that the timeline is not its own.
 * @returns how many objects were removed
 * @throws PageserverError `superseded` when it belongs to a newer generation: nothing was removed then; RemoteStorageError
 */
export async function removeRemote(writer: RemoteWriter, tenant: TenantId, timeline: TimelineId): Promise<number> {
  const { storage, signal, generation } = writer;
  const indexes = await listAll(storage, indexPrefix(tenant, timeline), signal);
  const layers = await listAll(storage, layerPrefix(tenant, timeline), signal);
  if (indexes.length === 0 && layers.length === 0) return 0;
  await claim(writer, tenant, timeline);
  await requireNewest(writer, tenant, timeline);
  const own = claimKey(tenant, timeline, generation);
  const claims = (await listAll(storage, claimPrefix(tenant, timeline), signal)).filter(({ key }) => key < own);
  for (const keys of [indexes, layers, claims].map((objects) => objects.map(({ key }) => key)))
    for (let from = 0; from < keys.length; from += DELETE_KEYS_MAX)
      await storage.delete(keys.slice(from, from + DELETE_KEYS_MAX), { signal });
  return indexes.length + layers.length + claims.length;
}

async function claim(writer: RemoteWriter, tenant: TenantId, timeline: TimelineId): Promise<void> {
  const text = `${JSON.stringify({ writer: writer.identity })}\n`;
  const key = claimKey(tenant, timeline, writer.generation);
  await putOnce(writer, timeline, key, new TextEncoder().encode(text), CLAIM_BYTES_MAX);
}

/** Puts an object that nobody else may put. One that is there already may be this writer's own, of an attempt whose response was lost, or of its turn before a crash. */
async function putOnce(
  writer: RemoteWriter,
  timeline: TimelineId,
  key: string,
  bytes: Uint8Array,
  lengthMax = REMOTE_INDEX_BYTES_MAX,
): Promise<void> {
  const { storage, signal } = writer;
  try {
    await storage.put(key, bytesSource(key, bytes), { ifAbsent: true, signal });
  } catch (error) {
    if (!(error instanceof RemoteStorageError) || error.code !== 'already-exists') throw error;
    const found = await fetchBytes(storage, key, lengthMax, { signal }).catch((cause: unknown) => {
      if (cause instanceof CorruptionError) return new Uint8Array(0);
      throw cause;
    });
    if (Buffer.compare(found, bytes) !== 0) throw superseded(writer, timeline);
  }
}

/** Every object below a prefix, in the order of the keys. @throws RemoteStorageError */
export async function listAll(
  storage: RemoteStorage,
  prefix: string,
  signal?: AbortSignal,
): Promise<readonly ObjectInfo[]> {
  const all: ObjectInfo[] = [];
  let after: string | undefined;
  do {
    const page = await storage.list(prefix, { after, signal });
    all.push(...page.objects);
    after = page.next;
  } while (after !== undefined);
  return all;
}

function superseded(writer: RemoteWriter, timeline: TimelineId): PageserverError {
  return new PageserverError(
    'superseded',
    `timeline ${timeline} in ${writer.storage.name} belongs to another pageserver: generation ${writer.generation} is not the newest`,
  );
}
