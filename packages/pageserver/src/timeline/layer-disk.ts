import type { LayerAccess, LayerFile } from '../layers/layer-file.ts';
import type { LayerLoans } from './layer-loans.ts';
import type { RemoteLayers } from './remote-layers.ts';
import { holdsSmallObjects } from './require-layers.ts';
import type { DiskBudget, StorageLog } from './shared.ts';
import type { TimelineState } from './timeline-state.ts';

/** When files are removed, so much of the budget is made free at once: looking for the least recently used takes a look at every layer. */
const FREE_FRACTION = 0.05;

/** What keeping a disk within its budget needs. */
export interface LayerDiskSetup {
  readonly access: LayerAccess;
  readonly loans: LayerLoans;
  readonly remote: RemoteLayers | undefined;
  readonly log: StorageLog;
  /** Layer files may have so much of the disk. Unit: bytes. */
  readonly bytesMax: number;
  /** Every timeline. */
  readonly timelines: () => Iterable<TimelineState>;
}

interface Candidate {
  readonly state: TimelineState;
  readonly layer: LayerFile;
}

/**
 * Keeps the layer files of a store within a budget: removes those that were read longest ago. Never one that remote storage does not have by an index that counts; never one with anything but pages of relations, which
 * ingest looks at in the middle of a record; never an L0 layer, which compaction is about to merge; never one that somebody waits for or a worker reads. What is left may be more than the budget. The index of a timeline names its
 * layers wherever they are, so that a removal is one `unlink`: a crash before or after it finds a layer that is here or one to be fetched.
 */
export class LayerDisk implements DiskBudget {
  readonly #setup: LayerDiskSetup;
  /** Of layers that are being fetched. Unit: bytes. */
  #arriving = 0;
  evictedLayers = 0;
  evictedBytes = 0;

  constructor(setup: LayerDiskSetup) {
    this.#setup = setup;
  }

  get residentBytes(): number {
    let bytes = 0;
    for (const { layerMap } of this.#setup.timelines())
      for (const { layer } of layerMap.placed) if (layer.isResident) bytes += layer.identity.fileBytes;
    return bytes;
  }

  async arriving<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    this.#arriving += bytes;
    try {
      this.keepWithin();
      return await work();
    } finally {
      this.#arriving -= bytes;
    }
  }

  keepWithin(): void {
    const { bytesMax } = this.#setup;
    if (bytesMax >= Number.MAX_SAFE_INTEGER) return;
    const used = this.residentBytes + this.#arriving;
    if (used <= bytesMax) return;
    let excess = used - bytesMax * (1 - FREE_FRACTION);
    for (const candidate of this.#candidates()) {
      if (excess <= 0) return;
      if (this.#evict(candidate)) excess -= candidate.layer.identity.fileBytes;
    }
  }

  /** Those that may go, the least recently used first. */
  #candidates(): readonly Candidate[] {
    const found: Candidate[] = [];
    for (const state of this.#setup.timelines())
      for (const { layer, level } of state.layerMap.placed)
        if (this.#mayGo(state, layer, level)) found.push({ state, layer });
    return found.sort((a, b) => a.layer.lastUse - b.layer.lastUse);
  }

  #mayGo(state: TimelineState, layer: LayerFile, level: 0 | 1): boolean {
    return (
      layer.isResident &&
      layer.holds === 0 &&
      !this.#setup.loans.isLent(layer.path) &&
      level === 1 &&
      !holdsSmallObjects(state, layer) &&
      this.#setup.remote?.isDurable(state.tenant, state.timeline, state.fileNameOf(layer)) === true
    );
  }

  #evict({ state, layer }: Candidate): boolean {
    const { access, log } = this.#setup;
    const fields = { tenant: state.tenant, timeline: state.timeline, path: layer.path };
    try {
      access.fileSystem.unlink(layer.path);
    } catch (err) {
      log.warn({ ...fields, err }, 'a layer could not be evicted');
      return false;
    }
    layer.fileGoes();
    this.evictedLayers++;
    this.evictedBytes += layer.identity.fileBytes;
    log.info({ ...fields, bytes: layer.identity.fileBytes }, 'layer evicted');
    return true;
  }
}
