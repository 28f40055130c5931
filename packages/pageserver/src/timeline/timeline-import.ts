import { assert, type Lsn } from '@zenith/base';
import type { ObjectKind } from '../key-space/object.ts';
import type { ObjectTable } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { mergeLayers } from '../compaction/merge-layers.ts';
import { FrozenKeys } from '../layers/frozen-keys.ts';
import { EntryScratch, InMemoryLayer } from '../layers/in-memory-layer.ts';
import { LayerFile } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { LayerPlan, WrittenLayer } from '../layers/layer-writer.ts';
import type { StorageShared } from './shared.ts';
import { runInSlices, type SlicedWork } from './slices.ts';
import { layersDirectory } from './timeline-state.ts';

/** So much is collected in memory before it is sorted and written. Unit: bytes. */
const BATCH_BYTES_MAX = 64 * 1024 * 1024;

/** Keys written between two looks at the clock. */
const KEYS_PER_STEP = 32;

/** Most layers that are merged when the values did not come in key order. */
const MERGED_LAYERS_MAX = 1024;

/** Where an import goes and what makes a timeline of it. */
export interface ImportTarget {
  readonly shared: StorageShared;
  /** The timeline's folder. */
  readonly directory: string;
  readonly plan: Pick<LayerPlan, 'tenant' | 'timeline' | 'objects'>;
  /** The LSN at which everything imported exists. */
  readonly lsn: Lsn;
}

/**
 * Loads a new timeline in bulk: every value exists at one LSN and ends up in image layers. Values may come in any order; in key order they are written once, otherwise twice. The timeline
 * comes to be when the store writes its index, after every file is durable: a crash before leaves nothing but files that the next start removes.
 */
export class ImportWriter {
  readonly #target: ImportTarget;
  readonly #objects: ObjectTable;
  readonly #batchBytes: number;
  readonly #running = new AbortController();
  readonly #written: WrittenLayer[] = [];
  #batch: InMemoryLayer | undefined;
  #generation = 1;

  /** Made by the store, which has made the directory. */
  constructor(target: ImportTarget) {
    this.#target = target;
    this.#objects = target.plan.objects;
    this.#batchBytes = Math.min(BATCH_BYTES_MAX, target.shared.options.checkpointDistanceBytes);
  }

  /** A generation that no file of this import has. */
  get nextGeneration(): number {
    return this.#generation;
  }

  /** Adds the content of a page (8192 bytes) or of a small object. The bytes are copied. Of a key that comes twice the later content counts. */
  put(
    kind: ObjectKind,
    spc: number,
    db: number,
    rel: number,
    fork: number,
    block: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { shared, lsn } = this.#target;
    this.#batch ??= new InMemoryLayer(lsn, shared.slabs);
    this.#batch.put(this.#objects.intern(kind, spc, db, rel, fork), block, lsn, ValueKind.image, bytes, offset, length);
  }

  /** Undefined when more may be put; otherwise a promise to await before the next put: what is in memory is being written. @throws what the file system throws */
  backpressure(): Promise<void> | undefined {
    return this.#batch !== undefined && this.#batch.memoryBytes >= this.#batchBytes ? this.#spill() : undefined;
  }

  /**
   * Writes what is left. Resolves with durable files, of disjoint keys, that together are the import.
   * @throws what the file system throws
   */
  async finish(): Promise<readonly WrittenLayer[]> {
    await this.#spill();
    const inOrder = this.#written.every(
      (layer, i) => i === 0 || (this.#written[i - 1] as WrittenLayer).name.keys.end <= layer.name.keys.start,
    );
    if (inOrder) return this.#written;
    assert(this.#written.length <= MERGED_LAYERS_MAX, 'a large import comes in key order');
    return this.#merge();
  }

  /** Drops what is in memory. The store removes the files. */
  abandon(): void {
    this.#running.abort(new Error('the import was given up'));
    this.#batch?.drop();
    this.#batch = undefined;
  }

  async #spill(): Promise<void> {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    batch.freeze((this.#target.lsn + 1) as Lsn);
    this.#written.push(...(await this.#write((files) => writeBatch(batch, this.#objects, files))));
    batch.drop();
  }

  async #merge(): Promise<readonly WrittenLayer[]> {
    const { shared, directory } = this.#target;
    const parts = this.#written.map(
      (layer) => new LayerFile(shared.access, `${layersDirectory(directory)}/${layer.fileName}`, layer, this.#objects),
    );
    const merged = await this.#write((files) =>
      mergeLayers(
        this.#objects,
        parts,
        {
          add: (object, block, lsn, kind, bytes, _view, offset, length) =>
            files.add(object, block, lsn, kind, bytes, offset, length),
        },
        files,
      ),
    );
    for (const part of parts) {
      shared.access.handles.forget(part.path);
      shared.access.fileSystem.unlink(part.path);
    }
    return merged;
  }

  async #write(work: (files: LayerSetWriter) => SlicedWork<void>): Promise<readonly WrittenLayer[]> {
    const { shared, directory, plan, lsn } = this.#target;
    const { options, access, now } = shared;
    const files = new LayerSetWriter(
      {
        ...plan,
        fileSystem: access.fileSystem,
        directory: layersDirectory(directory),
        kind: LayerKind.image,
        lsnStart: lsn,
        lsnEnd: (lsn + 1) as Lsn,
        compression: options.compression,
      },
      () => this.#generation++,
      options.layerBytesTarget,
    );
    try {
      await runInSlices(work(files), { sliceMs: options.sliceMs, now, signal: this.#running.signal });
      return await files.finish();
    } catch (error) {
      files.abandon();
      throw error;
    }
  }
}

function* writeBatch(batch: InMemoryLayer, objects: ObjectTable, files: LayerSetWriter): SlicedWork<void> {
  const keys = yield* FrozenKeys.sort(batch, objects);
  const value = new EntryScratch();
  for (let i = 0; i < keys.count; i++) {
    const object = keys.object(i);
    const block = keys.block(i);
    const ended = files.endIfFull(object, block);
    if (ended !== undefined) yield ended;
    batch.entry(batch.head(object, block), value);
    files.add(object, block, value.lsn, value.kind, value.slab.bytes, value.offset, value.length);
    if (i % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield undefined;
  }
}
