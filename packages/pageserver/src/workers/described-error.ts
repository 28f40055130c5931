import { CorruptionError } from '@zenith/base';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { DamagedLayerError, damagedLayerOf } from '../layers/damaged-layer-error.ts';
import type { LayerResidency } from '../layers/layer-residency.ts';

/** An error on its way from one thread to another. */
export type DescribedError =
  | { readonly kind: 'absent'; readonly paths: readonly string[] }
  | { readonly kind: 'damaged'; readonly path: string; readonly message: string; readonly offset: number }
  | { readonly kind: 'corrupt'; readonly message: string }
  | { readonly kind: 'other'; readonly message: string; readonly code: string | undefined };

/** Describes an error for another thread. */
export function describeError(error: unknown): DescribedError {
  if (error instanceof AbsentLayerError) return { kind: 'absent', paths: error.layers.map(({ path }) => path) };
  const damaged = damagedErrorOf(error);
  if (damaged !== undefined) {
    const { source = '', offset = 0 } = damaged.position ?? {};
    // The message ends with the position, which the error that is made of this adds again.
    const message = damaged.message.replace(` (${source} at byte ${offset})`, '');
    return { kind: 'damaged', path: damaged.layer.path, message, offset };
  }
  const { message } = error as Error;
  if (error instanceof CorruptionError) return { kind: 'corrupt', message };
  const code = (error as { readonly code?: unknown }).code;
  return { kind: 'other', message, code: typeof code === 'string' ? code : undefined };
}

/** The error that was described, about the layers of this thread. @param layerAt the layer at a path; undefined when there is none */
export function errorOf(described: DescribedError, layerAt: (path: string) => LayerResidency | undefined): Error {
  switch (described.kind) {
    case 'absent': {
      const layers = described.paths.map(layerAt).filter((layer) => layer !== undefined);
      return new AbsentLayerError(layers);
    }
    case 'damaged': {
      const layer = layerAt(described.path);
      if (layer === undefined) return new CorruptionError(described.message, { source: described.path });
      return new DamagedLayerError(layer, described.message, described.offset);
    }
    case 'corrupt':
      return new CorruptionError(described.message);
    case 'other':
      return Object.assign(new Error(described.message), described.code === undefined ? {} : { code: described.code });
    default:
      return described satisfies never;
  }
}

function damagedErrorOf(error: unknown): DamagedLayerError | undefined {
  if (damagedLayerOf(error) === undefined) return undefined;
  let at = error;
  while (at instanceof Error && !(at instanceof DamagedLayerError)) at = at.cause;
  return at as DamagedLayerError;
}
