import { formatLsn, type Lsn } from '@zenith/base';
import { mergeLayers } from '../compaction/merge-layers.ts';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import { removeFiles } from '../timeline/remove-files.ts';
import { openLayers } from '../timeline/open-layers.ts';
import { ALL_KEYS, requireOpen, requireSmallObjects } from '../timeline/require-layers.ts';
import { ancestorsAreIngested } from '../timeline/require-lsn.ts';
import { runInSlices, type SlicedWork } from '../timeline/slices.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { RetainedValues } from './retained-values.ts';

/** Without being forced, history is merged into the oldest tier when it has this fraction of that tier's size: so each byte is written at most 1 + 1 / 0.5 times more. */
const WORTH_FRACTION = 0.5;

/** What a collection did. */
export interface CollectionResult {
  /** Nothing below is kept, but for the retained points. */
  readonly cutoff: Lsn;
  /** Points below the cutoff that branches and leases read at. */
  readonly retainedPoints: number;
  readonly removedLayers: number;
  /** Unit: bytes. */
  readonly removedBytes: number;
  readonly addedLayers: number;
  /** Unit: bytes. */
  readonly addedBytes: number;
}

/**
 * Drops the history of a timeline below `cutoff` that nobody can read: merges the delta tiers that lie wholly at or below it into one that has, for each key, what reads at the retained points and from its own end on need. The
 * cutoff is durable before anything is removed; the caller has published it in memory in the turn in which it found the points.
 * @param points below the cutoff, in any order
 * @param force also when little can be dropped
 * @throws AbsentLayerError when layers have to be fetched before it is begun anew; CorruptionError naming a layer that cannot be read, nothing is removed then; whatever the file system throws; the signal's reason
 */
export async function collect(
  state: TimelineState,
  cutoff: Lsn,
  points: readonly Lsn[],
  force: boolean,
  signal: AbortSignal,
): Promise<CollectionResult> {
  const nothing = {
    cutoff,
    retainedPoints: points.length,
    removedLayers: 0,
    removedBytes: 0,
    addedLayers: 0,
    addedBytes: 0,
  };
  if (!state.isCutoffDurable) await state.publish({ added: [], level: 1, removed: new Set() });
  if (!ancestorsAreIngested(state)) return nothing;
  const inputs = inputsOf(state, cutoff);
  if (inputs === undefined || !(force || isWorth(inputs))) return nothing;
  await openLayers(state, ALL_KEYS, signal);
  requireOpen(state, ALL_KEYS);
  requireSmallObjects(state);
  const absent = inputs.merged.flatMap(({ layers }) => layers.filter(({ isResident }) => !isResident));
  if (absent.length > 0) throw new AbsentLayerError(absent);
  const { shared } = state;
  const started = shared.now();
  const files = new LayerSetWriter(
    {
      fileSystem: shared.access.fileSystem,
      directory: state.layersDirectory,
      tenant: state.tenant,
      timeline: state.timeline,
      objects: state.objects,
      kind: LayerKind.delta,
      lsnStart: (inputs.merged[0] as Tier).lsnStart,
      lsnEnd: (inputs.end + 1) as Lsn,
      compression: shared.options.compression,
    },
    () => state.nextGeneration(),
    shared.options.layerBytesTarget,
  );
  const kept = [...new Set([...points.filter((point) => point < inputs.end), inputs.end])].sort((a, b) => a - b);
  let added;
  try {
    const layers = inputs.merged.flatMap((tier) => tier.layers);
    await runInSlices(passOn(state, layers, kept, files), { sliceMs: shared.options.sliceMs, now: shared.now, signal });
    added = await files.finish();
  } catch (error) {
    files.abandon();
    throw error;
  }
  await state.publish({ added, level: 1, removed: inputs.removed });
  removeFiles(state, inputs.removed);
  const bytes = (layers: Iterable<{ readonly fileBytes: number }>): number =>
    [...layers].reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  const result = {
    ...nothing,
    removedLayers: inputs.removed.size,
    removedBytes: bytes([...inputs.removed].map((layer) => layer.identity)),
    addedLayers: added.length,
    addedBytes: bytes(added),
  };
  const { tenant, timeline } = state;
  const milliseconds = Math.round(shared.now() - started);
  shared.log.info({ tenant, timeline, ...result, cutoff: formatLsn(cutoff), milliseconds }, 'history collected');
  return result;
}

interface Inputs {
  /** What is merged, oldest first: the images a timeline was imported as, then delta tiers. */
  readonly merged: readonly Tier[];
  /** What goes: the same, and images up to there, which are shortcuts. */
  readonly removed: ReadonlySet<LayerFile>;
  /** The last LSN of the merged tiers. */
  readonly end: Lsn;
}

function inputsOf(state: TimelineState, cutoff: Lsn): Inputs | undefined {
  const { tiers } = state.layerMap;
  const deltas = tiers.filter((tier) => tier.kind === LayerKind.delta && tier.lsnEnd <= cutoff + 1).toReversed();
  const [oldest, newest] = [deltas[0], deltas.at(-1)];
  if (oldest === undefined || newest === undefined) return undefined;
  const end = (newest.lsnEnd - 1) as Lsn;
  const imported = tiers
    .filter((tier) => tier.kind === LayerKind.image && tier.lsnStart < oldest.lsnStart)
    .toReversed();
  const merged = [...imported, ...deltas];
  if (merged.length < 2) return undefined;
  const removed = new Set(merged.flatMap((tier) => tier.layers));
  for (const tier of tiers)
    if (tier.kind === LayerKind.image && tier.lsnStart <= end) for (const layer of tier.layers) removed.add(layer);
  return { merged, removed, end };
}

function isWorth({ merged }: Inputs): boolean {
  const [oldest = 0, ...newer] = merged.map((tier) =>
    tier.layers.reduce((sum, layer) => sum + layer.identity.fileBytes, 0),
  );
  return newer.reduce((sum, bytes) => sum + bytes, 0) >= WORTH_FRACTION * oldest;
}

function* passOn(
  state: TimelineState,
  layers: readonly LayerFile[],
  points: readonly Lsn[],
  files: LayerSetWriter,
): SlicedWork<void> {
  const values = new RetainedValues(state, points, files);
  yield* mergeLayers(state.objects, layers, values, values);
  values.finish();
}
