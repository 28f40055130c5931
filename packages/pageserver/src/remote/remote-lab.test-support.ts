import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lsn } from '@zenith/base';
import { allocatePage, BLCKSZ } from '@zenith/pg-format';
import { LocalFolderStorage, type RemoteStorage } from '@zenith/remote-storage';
import { FaultyStorage } from '@zenith/testing';
import { Registry } from 'prom-client';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { StorageOptions } from '../timeline/options.ts';
import {
  at,
  chainRedo,
  digest,
  modelOutcome,
  ModelWriter,
  pageOf,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from '../timeline/storage-model.test-support.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { LayerWorkers } from '../workers/job-duties.ts';
import { remoteMetrics } from './metrics.ts';
import { RemoteTimelines } from './remote-timelines.ts';

const MIB = 1024 * 1024;
const OPTIONS: Partial<StorageOptions> = {
  memoryBytes: 16 * MIB,
  pageCacheBytes: MIB,
  indexCacheBytes: MIB,
  layerBytesTarget: 4 * BLCKSZ,
  imageAfterValues: 6,
  imageTiersMin: 1,
  imageTiersMax: 1,
  compactInBackground: false,
  retryDelayMs: 3_600_000,
};
/** Relations that {@link putSome} writes to. */
export const RELATIONS = 3;
/** Blocks of each of them. */
export const BLOCKS = 6;

/** A pageserver's storage: a data directory and its turn. */
export interface Node {
  readonly dataDirectory: string;
  readonly storage: FaultyStorage;
  readonly remote: RemoteTimelines;
  readonly store: TimelineStore;
}

/** A folder for objects and one for each pageserver. */
export class RemoteLab {
  readonly root: string;
  /** The objects, without faults. */
  readonly inner: RemoteStorage;
  /** What the pageservers have warned of. */
  readonly warnings: string[] = [];
  /** The errors that came with it. */
  readonly causes: Error[] = [];

  constructor(root: string, inner: RemoteStorage) {
    this.root = root;
    this.inner = inner;
  }

  /** Makes an empty one. */
  static async create(): Promise<RemoteLab> {
    const root = mkdtempSync(join(tmpdir(), 'zenith-remote-'));
    return new RemoteLab(root, await LocalFolderStorage.open(join(root, 'objects')));
  }

  /** Starts the storage of a pageserver in `directory`. */
  async open(
    directory: string,
    generation: number,
    storage = new FaultyStorage(this.inner),
    options: Partial<StorageOptions> = {},
    startWaitMs?: number,
    workers?: LayerWorkers,
  ): Promise<Node> {
    const dataDirectory = join(this.root, directory);
    mkdirSync(dataDirectory, { recursive: true });
    const remote = await RemoteTimelines.open({
      storage,
      generation,
      dataDirectory,
      fileSystem: unsyncedFileSystem,
      log: {
        info: () => undefined,
        warn: ({ err }, message) => {
          this.warnings.push(message);
          if (err instanceof Error) this.causes.push(err);
        },
      },
      metrics: remoteMetrics(new Registry(), () => remote.gauges),
      retries: { attemptsMax: 1, backoffMinMs: 1, backoffMaxMs: 1 },
      ...(startWaitMs === undefined ? {} : { startWaitMs }),
    });
    const store = TimelineStore.open(dataDirectory, {
      options: { ...OPTIONS, ...options },
      redo: chainRedo,
      fileSystem: unsyncedFileSystem,
      remote,
      ...(workers === undefined ? {} : { workers }),
    });
    return { dataDirectory, storage, remote, store };
  }

  /** Removes all of it. */
  remove(): void {
    rmSync(this.root, { recursive: true });
  }
}

/** Stops it. */
export async function close({ store, remote }: Node): Promise<void> {
  await store.close();
  await remote.close(0);
}

/** Puts so many values into a timeline of the model. */
export function putSome(writer: ModelWriter, from: number, count: number): void {
  for (let n = from; n < from + count; n++) {
    const kind = n % 11 === 0 ? ValueKind.image : n % 5 === 0 ? ValueKind.operation : ValueKind.record;
    const bytes = kind === ValueKind.image ? pageOf(n) : Uint8Array.of(n, n >> 8, 3);
    writer.put(n % RELATIONS, (n * 7) % BLOCKS, at(n), kind, bytes);
    writer.advance(at(n));
  }
}

/** Flushes, a branch, compactions that replace layers: everything that changes an index. Uploads of the steps overlap or not, as it comes. */
export async function play({ store, remote }: Node): Promise<readonly ModelWriter[]> {
  const model = new StorageModel(at(0));
  const wanted = { tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) } as const;
  const main = new ModelWriter(await store.create(wanted), model);
  putSome(main, 1, 40);
  await main.timeline.flush();
  await remote.settled();
  putSome(main, 41, 30);
  await main.timeline.flush();
  const branchModel = new StorageModel(at(60), { model, lsn: at(60) });
  const branch = new ModelWriter(await store.createBranch(TENANT, timelineId(2), timelineId(1), at(60)), branchModel);
  putSome(branch, 100, 25);
  await branch.timeline.flush();
  await main.timeline.compact();
  await remote.settled();
  putSome(main, 130, 20);
  await main.timeline.flush();
  await remote.settled();
  return [main, branch];
}

/** Has every timeline that is there collect all the history that nobody needs. */
export async function collectAll({ store }: Node): Promise<number> {
  let removed = 0;
  for (const { timeline } of store.list()) {
    const result = await store.collect(TENANT, timeline, { timeMs: 0, bytes: 0 }, true, () => 1e12);
    removed += result.removedLayers;
  }
  return removed;
}

/** The digest of a page, by a read that fetches the layers that it finds absent. @throws as the read */
export async function fetchedPage(timeline: Timeline, rel: number, block: number, lsn: Lsn): Promise<string> {
  const page = allocatePage();
  await timeline.fetching(() =>
    timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, rel, 0), block, lsn, page),
  );
  return digest(page.bytes);
}

/** What that read gives: the page, or the failure. */
export async function fetchedOutcome(timeline: Timeline, rel: number, block: number, lsn: Lsn): Promise<string> {
  try {
    return await fetchedPage(timeline, rel, block, lsn);
  } catch (error) {
    return `error ${(error as { code?: string }).code ?? (error as Error).message}`;
  }
}

/** What reads up to an LSN give that is not what the model says. */
export async function wrongPages(
  store: TimelineStore,
  n: number,
  { model }: ModelWriter,
  upTo: Lsn,
): Promise<string[]> {
  const timeline = store.get(TENANT, timelineId(n));
  const wrong: string[] = [];
  for (let lsn = timeline.initialLsn as number; lsn <= upTo; lsn += 8 * 7)
    for (let rel = 0; rel < RELATIONS; rel++)
      for (let block = 0; block <= BLOCKS; block++) {
        const is = await fetchedOutcome(timeline, rel, block, lsn as Lsn);
        const shall = modelOutcome(model, rel, block, lsn as Lsn);
        if (is !== shall) wrong.push(`timeline ${n}, relation ${rel} block ${block} at ${lsn}: ${is}, not ${shall}`);
      }
  return wrong;
}
