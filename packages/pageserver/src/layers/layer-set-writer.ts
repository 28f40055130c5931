import type { Lsn } from '@zenith/base';
import { NO_OBJECT, type ObjectId } from '../key-space/object-table.ts';
import { ObjectKind } from '../key-space/object.ts';
import type { ValueKind } from '../key-space/value.ts';
import { type LayerPlan, LayerWriter, type WrittenLayer } from './layer-writer.ts';

/**
 * Writes values, in key order, to as many layer files as it takes: a file is ended at the first change of key after it has reached the target size, and where the
 * pages of relations end. The caller awaits what `endIfFull`
 * returns before it goes on, so that at most one file is open.
 */
export class LayerSetWriter {
  readonly #plan: Omit<LayerPlan, 'generation'>;
  readonly #nextGeneration: () => number;
  readonly #layerBytesTarget: number;
  readonly #written: WrittenLayer[] = [];
  #writer: LayerWriter | undefined;
  #object: ObjectId = NO_OBJECT;
  #block = -1;

  /**
   * @param plan what all the files are to be; `keyStart` is that of the first
   * @param nextGeneration gives a generation that no file of the timeline has had
   * @param layerBytesTarget where to cut. Unit: bytes
   */
  constructor(plan: Omit<LayerPlan, 'generation'>, nextGeneration: () => number, layerBytesTarget: number) {
    this.#plan = plan;
    this.#nextGeneration = nextGeneration;
    this.#layerBytesTarget = layerBytesTarget;
  }

  /** To be called, and its promise awaited, before the first value of a key: ends a file that is large enough. */
  endIfFull(object: ObjectId, block: number): Promise<void> | undefined {
    if (object === this.#object && block === this.#block) return undefined;
    const isCut = this.#leavesRelations(object);
    this.#object = object;
    this.#block = block;
    if (this.#writer === undefined || (this.#writer.dataBytes < this.#layerBytesTarget && !isCut)) return undefined;
    return this.#end();
  }

  /** Appends a value. `bytes` is only borrowed. @param view over exactly `bytes`: a short value is copied faster with it */
  add(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    offset: number,
    length: number,
    view?: DataView,
  ): void {
    this.#writer ??= this.#newWriter();
    this.#writer.add(object, block, lsn, kind, bytes, offset, length, view);
  }

  /** Ends the last file. Resolves with all of them, durable but for their directory entries; none when there was no value. */
  async finish(): Promise<readonly WrittenLayer[]> {
    if (this.#writer !== undefined) await this.#end();
    return this.#written;
  }

  /** Gives up: removes every file written. Never throws. */
  abandon(): void {
    this.#writer?.abandon();
    this.#writer = undefined;
    for (const layer of this.#written) {
      try {
        this.#plan.fileSystem.unlink(`${this.#plan.directory}/${layer.fileName}`);
      } catch {
        // What is left is an orphan, which the next opening of the timeline removes.
      }
    }
  }

  /** Pages of relations come first. What else there is gets files of its own, which stay on this disk when the others are evicted. */
  #leavesRelations(object: ObjectId): boolean {
    const { objects } = this.#plan;
    return (
      Number.isFinite(this.#layerBytesTarget) &&
      this.#object !== NO_OBJECT &&
      objects.kind(this.#object) === ObjectKind.relation &&
      objects.kind(object) !== ObjectKind.relation
    );
  }

  #newWriter(): LayerWriter {
    const { keyStart, ...plan } = this.#plan;
    const generation = this.#nextGeneration();
    return new LayerWriter(
      keyStart !== undefined && this.#written.length === 0
        ? { ...plan, keyStart, generation }
        : { ...plan, generation },
    );
  }

  async #end(): Promise<void> {
    const writer = this.#writer as LayerWriter;
    this.#written.push(await writer.finish());
    this.#writer = undefined;
  }
}
