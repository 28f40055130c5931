import type { MessagePort } from 'node:worker_threads';
import { assert, AssertionError } from '@zenith/base';
import { createImageLayers, type ImageFetches } from '../compaction/image-layers.ts';
import { mergeRun } from '../compaction/merge-run.ts';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { damagedLayerOf } from '../layers/damaged-layer-error.ts';
import type { FileSystem } from '../layers/file-system.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import type { PageRedo } from '../timeline/redo.ts';
import { writeLevelZero } from '../timeline/write-level-zero.ts';
import { describeError, errorOf } from './described-error.ts';
import { GenerationsTaken } from './generations-taken.ts';
import { openJob, type JobSource } from './job-source.ts';
import type { FromWorker, LayerJob, LayerJobResult, ToWorker } from './layer-job.ts';

/** What a worker thread is made of. */
export interface RunnerSetup {
  /** To the thread that has the timelines. */
  readonly port: MessagePort;
  readonly fileSystem: FileSystem;
  readonly redo: PageRedo;
}

/** Does one job after the other, as it is told. */
export class JobRunner {
  readonly #setup: RunnerSetup;
  #abort = new AbortController();
  #request: { readonly granted: () => void; readonly refused: (error: Error) => void } | undefined;

  private constructor(setup: RunnerSetup) {
    this.#setup = setup;
  }

  /** Begins to listen. */
  static start(setup: RunnerSetup): void {
    const runner = new JobRunner(setup);
    setup.port.on('message', (message: ToWorker) => runner.#take(message));
  }

  #say(message: FromWorker): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    this.#setup.port.postMessage(message);
  }

  #take(message: ToWorker): void {
    switch (message.kind) {
      case 'begin':
        this.#abort = new AbortController();
        // What is not expected ends the thread.
        void this.#run(message.job, new GenerationsTaken(message.taken));
        return;
      case 'abort':
        this.#abort.abort(new Error('the job is to end'));
        return;
      case 'granted':
        this.#request?.granted();
        return;
      case 'refused':
        this.#request?.refused(errorOf(message.error, () => undefined));
        return;
      default:
        message satisfies never;
    }
  }

  async #run(job: LayerJob, taken: GenerationsTaken): Promise<void> {
    const { fileSystem, redo } = this.#setup;
    let opened: JobSource | undefined;
    try {
      opened = openJob(job, taken, fileSystem, redo);
      const result = await this.#work(job, opened);
      this.#say({ kind: 'done', result });
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      this.#say({ kind: 'failed', error: describeError(error) });
    } finally {
      opened?.close();
    }
  }

  async #work({ work, canFetch }: LayerJob, { source, layers }: JobSource): Promise<LayerJobResult> {
    const { signal } = this.#abort;
    if (work.kind === 'flush') {
      const [frozen] = source.view.memoryLayers;
      assert(frozen !== undefined, 'a flush needs a frozen layer');
      return { added: await writeLevelZero(source, frozen, signal), images: 0, imageLayers: 0, unreadable: 0 };
    }
    if (work.kind === 'merge') {
      const inputs = work.inputs.map((name) => {
        const layer = layers.get(`${source.layersDirectory}/${name}`);
        assert(layer !== undefined, 'what is to be merged is a layer of the timeline');
        return layer;
      });
      return { ...(await mergeRun(source, inputs, signal)), imageLayers: 0, unreadable: 0 };
    }
    const duties = {
      fetches: () => this.#fetches(canFetch, layers, source),
      publish: (added: LayerJobResult['added']) => this.#ask({ kind: 'publish', added }),
    };
    const { layers: imageLayers, images, unreadable } = await createImageLayers(source, work.lsn, duties, signal);
    return { added: [], images, imageLayers, unreadable };
  }

  #fetches(canFetch: boolean, layers: ReadonlyMap<string, LayerFile>, { view }: JobSource['source']): ImageFetches {
    const fetched = new Set<LayerFile>();
    return {
      remedy: (error) => {
        const damaged = damagedLayerOf(error);
        if (!(error instanceof AbsentLayerError) && damaged === undefined) return undefined;
        if (!canFetch) return undefined;
        const wanted = error instanceof AbsentLayerError ? error.layers : [damaged];
        return this.#ask({ kind: 'fetch', error: describeError(error) }).then(() => {
          for (const layer of wanted) {
            const own = layers.get(layer?.path ?? '');
            if (own === undefined) continue;
            if (damaged !== undefined) own.damage = error as LayerFile['damage'];
            own.fileArrived(view.objects);
            fetched.add(own);
          }
        });
      },
      release: () => {
        for (const layer of fetched) layer.fileGoes();
        if (fetched.size > 0) this.#say({ kind: 'release' });
      },
    };
  }

  /** Asks the other thread for something; one thing at a time. */
  async #ask(message: FromWorker): Promise<void> {
    assert(this.#request === undefined, 'a job asks for one thing at a time');
    try {
      await new Promise<void>((granted, refused) => {
        this.#request = { granted, refused };
        this.#say(message);
      });
    } finally {
      this.#request = undefined;
    }
  }
}
