import type { CorruptionError } from '@zenith/base';

/** Where the file of a layer is, and what is to become of it. {@link LayerFile} is one. */
export interface LayerResidency {
  readonly path: string;
  readonly identity: { readonly fileBytes: number };
  /** False: nobody knows what is in it. */
  readonly isOpen: boolean;
  /** False: the file is not on this disk, or not to be used. */
  readonly isResident: boolean;
  /** It was fetched because of damage: when it is damaged again, another copy helps only if the file is not what was fetched. */
  readonly isMended: boolean;
  /** While positive the file is not to be removed from this disk: somebody who had it fetched has not read it yet. */
  holds: number;
  /** What was wrong with the file on this disk: it is to be fetched. */
  damage: CorruptionError | undefined;
  /** Settles when the fetch that is under way has ended; false: the file is what would have been fetched. */
  arrival: Promise<boolean> | undefined;
}
