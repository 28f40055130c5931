/** Size of an ordinary slab. Unit: bytes. */
export const SLAB_BYTES = 256 * 1024;

/** A piece of an in-memory layer's arena: one buffer under the views that its users need. A worker thread that writes the layer to a file reads the same memory. */
export interface Slab {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
}

/** The views of a buffer. */
export function slabOver(buffer: SharedArrayBuffer): Slab {
  return {
    buffer,
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
    words: new Int32Array(buffer),
    doubles: new Float64Array(buffer),
  };
}

function newSlab(size: number): Slab {
  return slabOver(new SharedArrayBuffer(size));
}

/**
 * Lends slabs to in-memory layers and takes them back when a layer has been flushed, so that steady ingest allocates no buffers. Keeps at most
 * `idleMax` slabs that nobody uses.
 */
export class SlabPool {
  readonly #idle: Slab[] = [];
  readonly #idleMax: number;

  /** @param idleMax how many unused slabs to keep */
  constructor(idleMax: number) {
    this.#idleMax = idleMax;
  }

  /** A slab of at least `size` bytes; its content is undefined. A slab above {@link SLAB_BYTES} is made for one large value. */
  take(size: number): Slab {
    if (size > SLAB_BYTES) return newSlab((size + 7) & ~7);
    return this.#idle.pop() ?? newSlab(SLAB_BYTES);
  }

  /** Takes a slab back. Its bytes must not be read by the former user any more. */
  give(slab: Slab): void {
    if (slab.bytes.length === SLAB_BYTES && this.#idle.length < this.#idleMax) this.#idle.push(slab);
  }
}
