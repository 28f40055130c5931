import { CorruptionError } from '@zenith/base';
import type { LayerResidency } from './layer-residency.ts';

/** Bytes of a layer file on this disk are not what they must be, or cannot be read. What remote storage has may be sound. */
export class DamagedLayerError extends CorruptionError {
  readonly layer: LayerResidency;

  /** @param offset of the bad bytes in the file. Unit: bytes */
  constructor(layer: LayerResidency, message: string, offset: number, options?: { readonly cause?: unknown }) {
    super(message, { source: layer.path, offset }, options);
    this.layer = layer;
  }
}

/** The damaged layer that an error is about, however it was wrapped on its way; undefined when it is about none. */
export function damagedLayerOf(error: unknown): LayerResidency | undefined {
  let at = error;
  // Errors are wrapped a few times at most.
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    if (at instanceof DamagedLayerError) return at.layer;
    at = at.cause;
  }
  return undefined;
}
