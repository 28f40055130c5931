import { CorruptionError, type TenantId, type TimelineId } from '@zenith/base';
import type { FileSystem } from '../layers/file-system.ts';
import { timelineDirectory } from '../timeline/store-layout.ts';
import { decodeIndex, INDEX_FILE, isSoundIndex, writeIndex } from '../timeline/timeline-index.ts';
import { layersDirectory } from '../timeline/timeline-state.ts';
import { attach, putIndex, requireNewest, type RemoteWriter } from './attach.ts';
import type { Concurrency } from './concurrency.ts';
import { INDEXES, parseIndexKey } from './object-keys.ts';
import type { RemoteIndex } from './remote-index.ts';

/** Every timeline that has an index in remote storage; one listing however many layers there are. @throws RemoteStorageError */
async function remoteTimelines(
  writer: RemoteWriter,
): Promise<readonly { readonly tenant: TenantId; readonly timeline: TimelineId }[]> {
  const found = new Map<string, { readonly tenant: TenantId; readonly timeline: TimelineId }>();
  let after: string | undefined;
  do {
    const page = await writer.storage.list(INDEXES, { after, signal: writer.signal });
    for (const { key } of page.objects) {
      const parsed = parseIndexKey(key);
      if (parsed !== undefined)
        found.set(`${parsed.tenant}/${parsed.timeline}`, { tenant: parsed.tenant, timeline: parsed.timeline });
    }
    after = page.next;
  } while (after !== undefined);
  return [...found.values()];
}

/** Who is told how a restore goes. */
export interface RestoreEvents {
  /** A local index cannot be read, and will be replaced. */
  readonly onDamage: (tenant: TenantId, timeline: TimelineId, error: Error) => void;
  /** A timeline could not be restored. */
  readonly onFailure: (tenant: TenantId, timeline: TimelineId, error: Error) => void;
}

/** Timelines that have an index in remote storage and none, or a damaged one, here. @throws RemoteStorageError when remote storage cannot be listed */
export async function absentTimelines(
  writer: RemoteWriter,
  fileSystem: FileSystem,
  storeDirectory: string,
  onDamage: RestoreEvents['onDamage'],
): Promise<readonly { readonly tenant: TenantId; readonly timeline: TimelineId }[]> {
  return (await remoteTimelines(writer)).filter(({ tenant, timeline }) => {
    const path = `${timelineDirectory(storeDirectory, tenant, timeline)}/${INDEX_FILE}`;
    const damage = damageOf(fileSystem, path);
    if (damage !== undefined) onDamage(tenant, timeline, damage);
    return damage !== undefined || fileSystem.size(path) === undefined;
  });
}

/**
 * Gives the local disk the index of every timeline that only remote storage has, or whose local index cannot be read: what is newer than its remote index comes from the WAL again; layers come when they are read. A restored timeline is this data directory's own in remote storage before it exists here:
 * whatever dies in between, the next start restores it again.
 * @returns what was restored; those it failed for are the others' business no more than a corrupt timeline is: they are reported and left
 * @throws RemoteStorageError when remote storage cannot be listed
 */
export async function restoreTimelines(
  writer: RemoteWriter,
  concurrency: Concurrency,
  fileSystem: FileSystem,
  storeDirectory: string,
  told: RestoreEvents,
): Promise<readonly RemoteIndex[]> {
  const absent = await absentTimelines(writer, fileSystem, storeDirectory, told.onDamage);
  const restored: RemoteIndex[] = [];
  await Promise.all(
    absent.map(({ tenant, timeline }) =>
      concurrency.run(async () => {
        try {
          const index = await restore(writer, fileSystem, storeDirectory, tenant, timeline);
          if (index !== undefined) restored.push(index);
        } catch (error) {
          told.onFailure(tenant, timeline, error as Error);
        }
      }),
    ),
  );
  return restored;
}

/** What is wrong with a local index; undefined when it is sound, or not there. */
function damageOf(fileSystem: FileSystem, path: string): CorruptionError | undefined {
  const bytes = fileSystem.readFile(path);
  // A start asks for every timeline, and the store decodes what is sound once more.
  if (bytes === undefined || isSoundIndex(bytes)) return undefined;
  try {
    decodeIndex(bytes, path);
    return undefined;
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    return error;
  }
}

async function restore(
  writer: RemoteWriter,
  fileSystem: FileSystem,
  storeDirectory: string,
  tenant: TenantId,
  timeline: TimelineId,
): Promise<RemoteIndex | undefined> {
  const found = await attach(writer, tenant, timeline);
  if (found === undefined) return undefined;
  const sequence = found.generation === writer.generation ? found.sequence + 1 : 0;
  const own: RemoteIndex = { ...found, writer: writer.identity, generation: writer.generation, sequence };
  await putIndex(writer, own);
  await requireNewest(writer, tenant, timeline);
  const directory = timelineDirectory(storeDirectory, tenant, timeline);
  fileSystem.removeDirectory(directory);
  fileSystem.makeDirectory(layersDirectory(directory));
  await writeIndex(fileSystem, directory, own.index);
  for (let at = directory; at.length > storeDirectory.length;) {
    at = at.slice(0, at.lastIndexOf('/'));
    await fileSystem.syncDirectory(at);
  }
  return own;
}
