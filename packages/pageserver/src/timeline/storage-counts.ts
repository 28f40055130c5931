/** Pages that took more layer files than this are counted together. */
const LAYERS_COUNTED_MAX = 32;

/** What a store has done since it was opened, all its timelines together: what amplification is made of. Sizes in bytes. */
export class StorageCounts {
  /** WAL that was ingested and is durable in layers. */
  walBytes = 0;
  /** Layers that hold in-memory layers. */
  levelZeroBytes = 0;
  /** Delta layers that hold merged layers. */
  runBytes = 0;
  imageBytes = 0;
  /** Pages read. */
  pagesRead = 0;
  /** The same by the number of layer files their values came from; the last counts all that took more. A page that comes from memory took none. */
  readonly pagesByLayers = new Float64Array(LAYERS_COUNTED_MAX + 1);

  /** Bytes of layers written for each byte of WAL; NaN before the first. */
  get writeAmplification(): number {
    return (this.levelZeroBytes + this.runBytes + this.imageBytes) / this.walBytes;
  }

  /** A page was read. */
  countPage(layers: number): void {
    this.pagesRead++;
    const i = Math.min(layers, LAYERS_COUNTED_MAX);
    this.pagesByLayers[i] = (this.pagesByLayers[i] as number) + 1;
  }
}
