import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where `make -C packages/compute/preload` leaves the preload library; the same from `src` and from `dist`. */
export function preloadLibraryPath(): string {
  return resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', 'preload', 'build', 'libzenith_preload.so');
}
