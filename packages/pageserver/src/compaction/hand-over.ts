import type { LayerFile } from '../layers/layer-file.ts';
import { parseLayerName } from '../layers/layer-name.ts';
import { LayerFetches } from '../timeline/fetch-layers.ts';
import { ancestorsAreFlushed } from '../timeline/require-lsn.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { errorOf, type DescribedError } from '../workers/described-error.ts';
import type { JobDuties, LayerWorkers } from '../workers/job-duties.ts';
import type { JobLayer, JobTimeline, LayerJob, LayerJobResult, LayerWork } from '../workers/layer-job.ts';

/**
 * Hands a piece of compaction over to a worker: it reads files and writes new ones; what is to become visible is published here. The files that it may read are lent to it until it ends.
 * @returns undefined when this thread has to do it: there are no workers, or an ancestor holds a part of the shared history in memory only
 * @throws as {@link LayerWorkers.run}, and what the job threw, about this thread's layers
 */
export function handOver(
  state: TimelineState,
  work: LayerWork,
  signal: AbortSignal,
): Promise<LayerJobResult> | undefined {
  const { workers } = state.shared;
  if (workers === undefined || !ancestorsAreFlushed(state)) return undefined;
  return runOn(workers, state, work, signal);
}

async function runOn(
  workers: LayerWorkers,
  state: TimelineState,
  work: LayerWork,
  signal: AbortSignal,
): Promise<LayerJobResult> {
  // A flush looks at layers for few pages, if for any, and there may be 100,000 of them: to name, map and lend each would keep reads waiting.
  const isIndexed = work.kind === 'flush';
  const layers = new Map<string, LayerFile>();
  const timelines: JobTimeline[] = [];
  for (let at: TimelineState | undefined = state; at !== undefined; at = at.ancestor?.state) {
    if (!isIndexed) for (const { layer } of at.layerMap.placed) layers.set(layer.path, layer);
    timelines.push(describe(at, isIndexed));
  }
  const job: LayerJob = {
    tenant: state.tenant,
    timeline: state.timeline,
    timelines,
    options: state.shared.options,
    generations: state.generations.buffer,
    canFetch: state.shared.remote !== undefined,
    work,
  };
  // What is fetched for it meanwhile is held until its partition is written.
  const lent = isIndexed
    ? timelines.map(({ layersDirectory }) => layersDirectory)
    : [...layers.values()].filter(({ isResident }) => isResident).map(({ path }) => path);
  const takeBack = state.shared.loans.lend(lent);
  try {
    const ended = await workers.run(job, dutiesOf(state, layers, signal), signal);
    if (ended.kind === 'failed') throw errorOf(ended.error, (path) => layers.get(path));
    return ended.result;
  } finally {
    takeBack();
  }
}

function describe(state: TimelineState, isIndexed: boolean): JobTimeline {
  const { pgMajor, directory, layersDirectory, initialLsn, lastRecordLsn, gcCutoff, retained, objects } = state;
  const { placed } = state.layerMap;
  const described = isIndexed ? placed.filter(({ layer }) => !layer.isResident) : placed;
  const layers = described.map(({ layer, level }): JobLayer => ({
    fileName: state.fileNameOf(layer),
    kind: layer.identity.kind,
    level,
    fileBytes: layer.identity.fileBytes,
    isResident: layer.isResident,
    summary: layer.isOpen && !layer.isResident ? layer.summary(objects) : undefined,
  }));
  const ancestorLsn = state.ancestor?.lsn;
  return {
    pgMajor,
    directory,
    layersDirectory,
    layers,
    isIndexed,
    initialLsn,
    lastRecordLsn,
    gcCutoff,
    retained: [...retained],
    ancestorLsn,
  };
}

function dutiesOf(state: TimelineState, layers: ReadonlyMap<string, LayerFile>, signal: AbortSignal): JobDuties {
  let fetches = new LayerFetches(state, signal);
  return {
    async fetch(described: DescribedError) {
      const error = errorOf(described, (path) => layers.get(path));
      const remedy = fetches.remedy(error);
      if (remedy === undefined) throw error;
      await remedy;
    },
    release() {
      fetches.release();
      fetches = new LayerFetches(state, signal);
    },
    publish: (added) => state.publish({ added, level: 1, removed: new Set() }),
    removeLeft: (generations) => removeLeft(state, generations),
  };
}

/** A worker that is lost leaves what it was writing, and what it had written and not handed over. */
function removeLeft(state: TimelineState, generations: ReadonlySet<number>): void {
  const { access, log } = state.shared;
  const named = new Set(state.layerMap.placed.map(({ layer }) => layer.name.generation));
  for (const name of access.fileSystem.list(state.layersDirectory)) {
    const generation = parseLayerName(name)?.generation ?? (/^\d+\.tmp$/.test(name) ? Number.parseInt(name, 10) : -1);
    if (!generations.has(generation) || named.has(generation)) continue;
    const path = `${state.layersDirectory}/${name}`;
    try {
      access.fileSystem.unlink(path);
    } catch (err) {
      log.warn({ path, err }, 'what a lost worker had written could not be removed; the next start removes it');
    }
  }
}
