import type { WrittenLayer } from '../layers/layer-writer.ts';
import type { DescribedError } from './described-error.ts';
import type { LayerJob, LayerJobResult } from './layer-job.ts';

/** What whoever hands a job over does for it meanwhile. */
export interface JobDuties {
  /** Has on this disk what an error is about. @throws when that cannot be done */
  fetch(error: DescribedError): Promise<void>;
  /** What was fetched may go again. */
  release(): void;
  /** Makes layers the timeline's. @throws when that fails: what was added is removed then */
  publish(added: readonly WrittenLayer[]): Promise<void>;
  /** The worker was lost: removes the files that have these generations and that no index names. */
  removeLeft(generations: ReadonlySet<number>): void;
}

/** Who does jobs outside of the thread that serves pages. */
export interface LayerWorkers {
  /**
   * Does a job when a worker is free.
   * @throws WorkerLostError; what the job threw, described; what a duty threw; the signal's reason
   */
  run(job: LayerJob, duties: JobDuties, signal: AbortSignal): Promise<Settled>;
}

/** How a job ended. */
export type Settled =
  | { readonly kind: 'done'; readonly result: LayerJobResult }
  | { readonly kind: 'failed'; readonly error: DescribedError };

/** A worker thread died in the middle of a job, which can be begun anew. */
export class WorkerLostError extends Error {
  override readonly name = 'WorkerLostError';

  constructor(cause: unknown) {
    super(`a worker thread was lost: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
