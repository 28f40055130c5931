import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { tlsOptions } from '../credentials/tls-options.ts';
import { Operator } from '../credentials/operator.ts';
import { ControlPlaneError } from '../errors.ts';
import { Catalog } from '../metadata/catalog.ts';
import { EmbeddedMetadataStore } from '../metadata/embedded-store.ts';
import { readConfig, type RepositoryConfig } from './config.ts';
import { REPOSITORY_FOLDER, repositoryLayout, type RepositoryLayout } from './layout.ts';

/** An opened repository: what the functions of this package work on. Holds no resources; nothing to close. */
export interface Repository {
  readonly layout: RepositoryLayout;
  readonly config: RepositoryConfig;
  readonly catalog: Catalog;
  /** What a command shows to services. */
  readonly operator: Operator;
}

/** The `.zenith` folder in `folder` or in the nearest folder above; undefined when there is none. */
export function findRepository(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const root = join(at, REPOSITORY_FOLDER);
    if (existsSync(join(root, 'config.json'))) return root;
    if (dirname(at) === at) return undefined;
  }
}

/** Opens the repository whose `.zenith` folder is `root`. @throws ControlPlaneError `repository-invalid`, `system` */
export function openRepositoryAt(root: string): Repository {
  const layout = repositoryLayout(realpathSync(root)); // one name for each folder: services are recognised by theirs
  const config = readConfig(layout.configFile);
  return {
    layout,
    config,
    catalog: new Catalog(new EmbeddedMetadataStore(layout.metadataFile, layout.locks)),
    operator: new Operator(layout.auth, config.auth, tlsOptions({ config, layout })),
  };
}

/** Opens the repository that `folder` lies in. @throws ControlPlaneError `no-repository`, `repository-invalid`, `system` */
export function openRepository(folder: string): Repository {
  const root = findRepository(folder);
  if (root === undefined) {
    throw new ControlPlaneError(
      'no-repository',
      `no zenith repository in ${resolve(folder)} or above: make one with 'zenith init'`,
    );
  }
  return openRepositoryAt(root);
}
