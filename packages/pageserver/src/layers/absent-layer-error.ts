import { StorageError } from '../timeline/errors.ts';
import type { LayerResidency } from './layer-residency.ts';

/** A read needs layers that are not on this disk: the caller has them fetched and reads again. Nothing has changed by the attempt. */
export class AbsentLayerError extends StorageError {
  /** At least one; of the timeline that is read, or of its ancestors. */
  readonly layers: readonly LayerResidency[];

  constructor(layers: readonly LayerResidency[]) {
    super('layer-absent', `layer ${layers[0]?.path ?? ''} is not on this disk yet: try again`);
    this.layers = layers;
  }
}
