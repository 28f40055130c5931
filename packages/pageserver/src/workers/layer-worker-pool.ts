import { Worker } from 'node:worker_threads';
import { assert } from '@zenith/base';
import { describeError } from './described-error.ts';
import { GenerationsTaken } from './generations-taken.ts';
import { type JobDuties, type LayerWorkers, type Settled, WorkerLostError } from './job-duties.ts';
import type { FromWorker, LayerJob, ToWorker } from './layer-job.ts';

/** Heap of one worker; a job that needs more ends the worker, never the process. Unit: MiB. */
const HEAP_MIB_MAX = 128;

/** Niceness of the threads, see lower-priority.ts: flushes, for which ingest may have to wait, get more of a busy machine than compaction. */
const [FLUSH_NICENESS, COMPACTION_NICENESS] = [5, 10];

/** What a pool is made of. */
export interface PoolSetup {
  /** Most workers that compact at a time; one more flushes. */
  readonly count: number;
  /** The worker's program; tests have others. */
  readonly entry?: URL;
}

interface Waiting {
  readonly begin: (worker: Worker) => void;
  readonly giveUp: (reason: Error) => void;
}

/** What a worker thread is told at its start. */
export interface WorkerPlan {
  readonly niceness: number;
}

/** Threads that do the jobs of compaction and flushes, begun when they are needed. One that dies fails its job and is replaced. A flush never waits for a compaction: there is a thread of its own for it. */
export class LayerWorkerPool implements LayerWorkers {
  readonly #compacting: Lane;
  readonly #flushing: Lane;

  constructor(setup: PoolSetup) {
    assert(setup.count >= 1, 'a pool has workers');
    const entry = setup.entry ?? ownEntry();
    this.#compacting = new Lane(setup.count, entry, { niceness: COMPACTION_NICENESS });
    this.#flushing = new Lane(1, entry, { niceness: FLUSH_NICENESS });
  }

  run(job: LayerJob, duties: JobDuties, signal: AbortSignal): Promise<Settled> {
    return (job.work.kind === 'flush' ? this.#flushing : this.#compacting).run(job, duties, signal);
  }

  /** Ends all workers, idle ones at once and others in the middle of their jobs, which fail. */
  async close(): Promise<void> {
    await Promise.all([this.#compacting.close(), this.#flushing.close()]);
  }
}

/** Workers that do one kind of jobs. */
class Lane {
  readonly #count: number;
  readonly #entry: URL;
  readonly #plan: WorkerPlan;
  readonly #all = new Set<Worker>();
  readonly #idle: Worker[] = [];
  /** In the order in which they came; as many as there are timelines at most. */
  readonly #waiting: Waiting[] = [];
  #isClosed = false;

  constructor(count: number, entry: URL, plan: WorkerPlan) {
    this.#count = count;
    this.#entry = entry;
    this.#plan = plan;
  }

  async run(job: LayerJob, duties: JobDuties, signal: AbortSignal): Promise<Settled> {
    const worker = await this.#acquire(signal);
    try {
      return await runOn(worker, job, duties, signal);
    } finally {
      this.#release(worker);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { giveUp } of this.#waiting.splice(0)) giveUp(new Error('the workers are closed'));
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  async #acquire(signal: AbortSignal): Promise<Worker> {
    signal.throwIfAborted();
    assert(!this.#isClosed, 'who has closed the pool asks it for nothing');
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#all.size < this.#count) return this.#start();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        begin: (worker) => {
          signal.removeEventListener('abort', onAbort);
          resolve(worker);
        },
        giveUp: (reason) => {
          signal.removeEventListener('abort', onAbort);
          reject(reason);
        },
      };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #release(worker: Worker): void {
    if (this.#isClosed) return;
    const next = this.#waiting.shift();
    if (next === undefined) {
      if (this.#all.has(worker)) this.#idle.push(worker);
    } else next.begin(this.#all.has(worker) ? worker : this.#start());
  }

  #start(): Worker {
    const worker = startWorker(this.#entry, this.#plan);
    // Idle workers keep no process alive; who waits for a job does.
    worker.unref();
    this.#all.add(worker);
    worker.once('exit', () => {
      this.#all.delete(worker);
      const index = this.#idle.indexOf(worker);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    // An error ends the worker, and with it its job; without a listener it would end the process.
    worker.on('error', () => undefined);
    return worker;
  }
}

/** The program beside this one: compiled, or the source. */
function ownEntry(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './layer-worker.ts' : './layer-worker.js', import.meta.url);
}

function startWorker(entry: URL, workerData: WorkerPlan): Worker {
  const resourceLimits = { maxOldGenerationSizeMb: HEAP_MIB_MAX };
  if (!entry.pathname.endsWith('.ts')) return new Worker(entry, { resourceLimits, workerData });
  // From sources: a worker does not inherit what compiles them.
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(entry.href)}); });`;
  return new Worker(code, { eval: true, execArgv: ['--conditions=source'], resourceLimits, workerData });
}

function runOn(worker: Worker, job: LayerJob, duties: JobDuties, signal: AbortSignal): Promise<Settled> {
  const taken = new GenerationsTaken();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  const say = (message: ToWorker): void => worker.postMessage(message);
  let failure: unknown;
  let pending = Promise.resolve();
  const duty = (work: () => Promise<void>): void => {
    pending = work().then(
      () => say({ kind: 'granted' }),
      (error: unknown) => say({ kind: 'refused', error: describeError(error) }),
    );
  };
  return new Promise<Settled>((resolve, reject) => {
    const onAbort = (): void => say({ kind: 'abort' });
    const onError = (error: unknown): void => {
      failure = error;
    };
    const end = (): void => {
      worker.unref();
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
      signal.removeEventListener('abort', onAbort);
      duties.release();
    };
    const onExit = (code: number): void => {
      end();
      // The index may be about to name what was handed over last.
      void pending.then(() => {
        duties.removeLeft(taken.all());
        if (signal.aborted) reject(signal.reason as Error);
        else reject(new WorkerLostError(failure ?? `it ended with code ${code}`));
      });
    };
    const onMessage = (message: FromWorker): void => {
      switch (message.kind) {
        case 'fetch':
          duty(() => duties.fetch(message.error));
          return;
        case 'release':
          duties.release();
          return;
        case 'publish':
          duty(() => duties.publish(message.added));
          return;
        case 'done':
          end();
          resolve(message);
          return;
        case 'failed':
          end();
          if (signal.aborted) reject(signal.reason as Error);
          else resolve(message);
          return;
        default:
          message satisfies never;
      }
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    worker.ref();
    signal.addEventListener('abort', onAbort, { once: true });
    say({ kind: 'begin', job, taken: taken.shared });
    if (signal.aborted) onAbort();
  });
}
