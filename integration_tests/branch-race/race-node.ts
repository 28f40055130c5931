import { copyFileSync, linkSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { RemoteStorage } from '@zenith/remote-storage';
import { FaultyStorage } from '@zenith/testing';
import { Registry } from 'prom-client';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { FileSystem } from '../../packages/pageserver/src/layers/file-system.ts';
import { remoteMetrics } from '../../packages/pageserver/src/remote/metrics.ts';
import { RemoteTimelines } from '../../packages/pageserver/src/remote/remote-timelines.ts';
import type { StorageOptions } from '../../packages/pageserver/src/timeline/options.ts';
import type { StorageLog } from '../../packages/pageserver/src/timeline/shared.ts';
import { chainRedo, unsyncedFileSystem } from '../../packages/pageserver/src/timeline/storage-model.test-support.ts';
import { TimelineStore } from '../../packages/pageserver/src/timeline/timeline-store.ts';
import type { LayerWorkers } from '../../packages/pageserver/src/workers/job-duties.ts';

/** Turns of the event loop that a sync takes at most, and an operation on remote storage: the windows that the race is about stay open for so long. */
const [SYNC_TURNS, LEASE_TURNS, REMOTE_TURNS] = [8, 100, 20];

/** A start waits for remote storage as long as a test may take. Unit: ms. */
const START_WAIT_MS = 600_000;

/** Of the operations on remote storage so many fail. */
const REMOTE_FAILURES = 0.02;

/** Lets so many turns of the event loop pass. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** A disk that takes its time to say that something is durable. @param fails throws when a sync of the path is to fail */
export function slowDisk(random: Random, fails: (path: string) => void): FileSystem {
  const sync = async (path: string): Promise<void> => {
    await turns(random.below(path.includes('leases') ? LEASE_TURNS : SYNC_TURNS));
    fails(path);
  };
  return { ...unsyncedFileSystem, sync, syncDirectory: sync };
}

/** Remote storage that takes its time, and now and then fails. @param mayFail after a start at which it fails nothing is collected for a while */
export function slowStorage(inner: RemoteStorage, random: Random, mayFail: () => boolean): FaultyStorage {
  const storage = new FaultyStorage(inner);
  storage.fault = () => (mayFail() && random.chance(REMOTE_FAILURES) ? 'fail' : turns(random.below(REMOTE_TURNS)));
  return storage;
}

/** What of a pageserver the race runs. */
export interface RaceNode {
  readonly store: TimelineStore;
  readonly remote: RemoteTimelines;
}

/** What such a thing is opened with. */
export interface RaceNodeSetup {
  readonly dataDirectory: string;
  readonly storage: RemoteStorage;
  readonly generation: number;
  readonly fileSystem: FileSystem;
  readonly options: Partial<StorageOptions>;
  readonly log: StorageLog;
  readonly workers?: LayerWorkers;
}

/** Opens a data directory with its remote storage. */
export async function openNode(setup: RaceNodeSetup): Promise<RaceNode> {
  const { dataDirectory, storage, generation, fileSystem, options, log, workers } = setup;
  mkdirSync(dataDirectory, { recursive: true });
  const remote = await RemoteTimelines.open({
    storage,
    generation,
    dataDirectory,
    fileSystem,
    log: { info: () => undefined, warn: () => undefined },
    metrics: remoteMetrics(new Registry(), () => remote.gauges),
    // Whoever stops the machine for a while does not make it a start without remote storage.
    startWaitMs: START_WAIT_MS,
    retries: { attemptsMax: Number.POSITIVE_INFINITY, backoffMinMs: 1, backoffMaxMs: 5 },
  });
  const store = TimelineStore.open(dataDirectory, {
    options,
    redo: chainRedo,
    fileSystem,
    log,
    remote,
    ...(workers === undefined ? {} : { workers }),
  });
  return { store, remote };
}

/**
 * What is on a disk now, as a killed process leaves it, under another name. Takes one turn. Threads go on meanwhile, but write only what no index names yet; an index is taken before the layers, so that it names none that is not there.
 */
export function copyNow(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  const entries = readdirSync(from, { withFileTypes: true });
  const order = ['index.json', 'indexes'];
  const rank = (name: string): number => (order.includes(name) ? 0 : 1);
  for (const entry of entries.toSorted((a, b) => rank(a.name) - rank(b.name))) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    try {
      if (entry.isDirectory()) copyNow(source, target);
      else if (entry.name.endsWith('.json')) copyFileSync(source, target);
      else linkSync(source, target);
    } catch (error) {
      // A temporary file has got its name meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
