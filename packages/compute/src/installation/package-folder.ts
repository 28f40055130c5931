import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** The folder of this package, from its door (`src/index.ts` or `dist/index.js`): where this module itself lies says nothing once it is part of a bundle. */
export function packageFolder(): string {
  return dirname(dirname(createRequire(import.meta.url).resolve('@zenith/compute')));
}
