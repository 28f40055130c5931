import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ControlPlaneError } from '../errors.ts';

/** A service of which processes are started. */
export type ServiceName = 'pageserver' | 'safekeeper' | 'compute';

const require = createRequire(import.meta.url);

/** The door of each package: src/index.ts or dist/index.js, as the loader was told. */
const doors = {
  pageserver: () => require.resolve('@zenith/pageserver'),
  safekeeper: () => require.resolve('@zenith/safekeeper'),
  compute: () => require.resolve('@zenith/compute'),
} as const satisfies Record<ServiceName, () => string>;

/** The main module below a package's `dist`. A start of PostgreSQL waits for the compute's to be loaded: that one is bundled. */
const mains = {
  pageserver: 'main.js',
  safekeeper: 'main.js',
  compute: 'bundle/main.js',
} as const satisfies Record<ServiceName, string>;

/**
 * The main module of a service: always the built one.
 * @throws ControlPlaneError `service-failed` when it has not been built
 */
export function serviceEntryPoint(service: ServiceName): string {
  const main = join(dirname(dirname(doors[service]())), 'dist', mains[service]);
  if (!existsSync(main))
    throw new ControlPlaneError('service-failed', `the ${service} is not built (no ${main}): run 'npm run build'`);
  return main;
}
