import { join } from 'node:path';
import { packageFolder } from '../installation/package-folder.ts';

/** Where `make -C packages/compute/preload` leaves the preload library. */
export function preloadLibraryPath(): string {
  return join(packageFolder(), 'preload', 'build', 'libzenith_preload.so');
}
