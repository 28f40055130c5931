import { assert, AssertionError, CorruptionError, ZenithError } from '@zenith/base';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { damagedLayerOf } from '../layers/damaged-layer-error.ts';
import type { LayerResidency } from '../layers/layer-residency.ts';
import { StorageError } from './errors.ts';
import type { TimelineState } from './timeline-state.ts';

/** A layer of this size or less is fetched whole where its last bytes would do. Unit: bytes. */
const WHOLE_BYTES_MAX = 256 * 1024;

/** Most times that one piece of work has a damaged layer replaced: on a disk that spoils whatever is written to it there would be no end. */
const MENDS_MAX = 8;

/** Most times that one read is made anew: it has got further each time, and looks at a bounded number of layers. */
const ATTEMPTS_MAX = 100_000;

/** Fetches what a piece of work finds missing; keeps it on this disk until {@link release}. */
export class LayerFetches {
  readonly #state: TimelineState;
  readonly #signal: AbortSignal;
  readonly #held = new Set<LayerResidency>();
  /** How often damaged layers were replaced. */
  readonly #mends = new Map<LayerResidency, number>();
  /** Layers that were found damaged although their files are as they were put into remote storage: by who read the file before, or they were put so. */
  readonly #unchanged = new Set<LayerResidency>();

  /**
   * @param state whose reads these are
   * @param signal gives up waiting; what is being fetched goes on for others
   */
  constructor(state: TimelineState, signal: AbortSignal) {
    this.#state = state;
    this.#signal = signal;
  }

  /**
   * Undefined when nothing can be done about what a read threw; otherwise the read may be made again when the promise resolves.
   * @returns a promise that rejects with CorruptionError, RemoteStorageError or what the file system throws when a layer cannot be fetched, StorageError `layer-absent` when it is damaged here and cannot be now; with the signal's reason
   */
  remedy(error: unknown): Promise<void> | undefined {
    const wanted = remedyOf(this.#state, error);
    if (wanted.length === 0) return undefined;
    const damaged = damagedLayerOf(error);
    if (damaged === undefined) return this.#fetch(wanted).then(() => undefined);
    const mends = (this.#mends.get(damaged) ?? 0) + 1;
    if (mends > MENDS_MAX) return undefined;
    this.#mends.set(damaged, mends);
    return this.#mend(damaged, error as CorruptionError);
  }

  /** What was fetched may go from this disk again. */
  release(): void {
    for (const layer of this.#held) layer.holds--;
    this.#held.clear();
    this.#state.shared.disk.keepWithin();
  }

  async #mend(layer: LayerResidency, damage: CorruptionError): Promise<void> {
    if (await this.#fetch([layer])) return;
    if (this.#unchanged.has(layer))
      throw new CorruptionError(`${damage.message}; remote storage has the same`, undefined, { cause: damage });
    this.#unchanged.add(layer);
  }

  /** @returns false when one of the files is what would have been fetched */
  async #fetch(layers: readonly LayerResidency[]): Promise<boolean> {
    for (const layer of layers) {
      if (this.#held.has(layer)) continue;
      this.#held.add(layer);
      layer.holds++;
    }
    return orAborted(this.#signal, async () => {
      const results = await Promise.allSettled(layers.map((layer) => fetchOnce(this.#state, layer)));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      return results.every((result) => result.status === 'fulfilled' && result.value);
    });
  }
}

/**
 * Runs `read` of a timeline, again from its beginning each time it found layers absent, or damaged where remote storage has them, and they were fetched.
 * @throws as `read`, and as {@link LayerFetches.remedy}
 */
export async function fetching<T>(state: TimelineState, signal: AbortSignal, read: () => T | Promise<T>): Promise<T> {
  const fetches = new LayerFetches(state, signal);
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await read();
      } catch (error) {
        const remedy = attempt < ATTEMPTS_MAX ? fetches.remedy(error) : undefined;
        if (remedy === undefined) throw error;
        await remedy;
      }
    }
  } finally {
    fetches.release();
  }
}

/** True when {@link fetching} can do something about what a read threw. */
export function hasRemedy(state: TimelineState, error: unknown): boolean {
  return remedyOf(state, error).length > 0;
}

/** The layers to be fetched before a read that threw `error` is made again; none when that would be in vain. */
function remedyOf(state: TimelineState, error: unknown): readonly LayerResidency[] {
  if (error instanceof AbsentLayerError) return error.layers;
  const damaged = damagedLayerOf(error);
  if (damaged === undefined || state.shared.remote === undefined) return [];
  damaged.damage = error as CorruptionError;
  return [damaged];
}

/** Several who want a layer share the work. */
function fetchOnce(state: TimelineState, layer: LayerResidency): Promise<boolean> {
  layer.arrival ??= fetchOne(state, layer).finally(() => {
    layer.arrival = undefined;
  });
  return layer.arrival;
}

async function fetchOne(state: TimelineState, layer: LayerResidency): Promise<boolean> {
  const owner = ownerOf(state, layer);
  const { remote, disk, log } = state.shared;
  assert(owner !== undefined && remote !== undefined, 'an absent layer is of the timeline or of an ancestor');
  const { tenant, timeline, layersDirectory } = owner;
  const { damage, identity } = layer;
  if (layer.isResident && damage === undefined) return true;
  const name = { tenant, timeline, layersDirectory, fileName: owner.fileNameOf(layer) };
  try {
    // Else every read of a layer that was put into remote storage as it is would fetch it.
    if (damage !== undefined && layer.isMended && (await remote.isAsFetched(name))) {
      layer.damage = undefined;
      return false;
    }
    if (!layer.isOpen && damage === undefined && identity.fileBytes > WHOLE_BYTES_MAX) {
      await owner.openByTail(layer, await remote.fetchTail(name));
      return true;
    }
    await disk.arriving(identity.fileBytes, async () => {
      await remote.fetch(name);
      await owner.fileArrived(layer);
    });
  } catch (error) {
    // Replaced meanwhile: the read is made again without it.
    if (!owner.has(layer)) return true;
    if (damage === undefined || !(error instanceof Error) || error instanceof AssertionError) throw error;
    const message = `${damage.message}; remote storage does not help: ${error.message}`;
    throw isLost(error)
      ? new CorruptionError(message, undefined, { cause: error })
      : new StorageError('layer-absent', message, { cause: error });
  }
  if (damage !== undefined)
    log.warn({ tenant, timeline, err: damage }, 'a damaged layer was replaced by what remote storage has');
  return true;
}

/** True: remote storage does not have the layer as it was. Whatever else keeps it from being fetched may be over the next time. */
function isLost(error: Error): boolean {
  return error instanceof CorruptionError || (error instanceof ZenithError && error.code === 'not-found');
}

function ownerOf(state: TimelineState, layer: LayerResidency): TimelineState | undefined {
  let at: TimelineState | undefined = state;
  while (at !== undefined && !layer.path.startsWith(`${at.layersDirectory}/`)) at = at.ancestor?.state;
  return at;
}

/** What `work` gives, or the signal's reason when that comes first. */
async function orAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
