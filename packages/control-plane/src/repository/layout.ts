import { join } from 'node:path';

/** Name of a repository's folder. */
export const REPOSITORY_FOLDER = '.zenith';

/** Where things are in a repository; all paths absolute. docs/architecture.md draws it. */
export interface RepositoryLayout {
  /** The `.zenith` folder. */
  readonly root: string;
  readonly configFile: string;
  readonly metadataFile: string;
  /** Where remote storage is when no other place was given. */
  readonly remoteStorage: string;
  /** Locks between concurrent `zenith` commands. */
  readonly locks: string;
  readonly auth: AuthLayout;
  readonly tls: TlsLayout;
  readonly pageserver: ServiceLayout;
  /** @param id number of the safekeeper, from 1 */
  safekeeper(id: number): ServiceLayout;
  /** @param endpoint name of the endpoint */
  compute(endpoint: string): ServiceLayout;
}

/** Keys and tokens, where they are required. */
export interface AuthLayout {
  /** Closed to everybody but its owner. */
  readonly root: string;
  /** Public keys by which all services let others in. */
  readonly keys: string;
  /** The private key that signs new tokens. */
  readonly signingKey: string;
  /** The folder of what a service shows to others. @param holder whose tokens: `pageserver`, `safekeeper-1`, `compute-main` */
  tokens(holder: string): string;
}

/** The authority and the certificate that `zenith init --tls` makes. */
export interface TlsLayout {
  readonly root: string;
  /** The authority's certificate: for everybody who is to know the services. */
  readonly authority: string;
  /** The authority's private key. */
  readonly authorityKey: string;
  /** The certificate that all services show, and its private key: one file, so that both are replaced in one step. */
  readonly certificate: string;
}

/** The files of one service. */
export interface ServiceLayout {
  readonly dataDir: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly pidFile: string;
}

function serviceLayout(dataDir: string, config: string, process: string): ServiceLayout {
  return {
    dataDir,
    configFile: join(dataDir, `${config}.json`),
    logFile: join(dataDir, `${process}.log`),
    pidFile: join(dataDir, `${process}.pid`),
  };
}

/** The layout of the repository whose `.zenith` folder is `root` (absolute). */
export function repositoryLayout(root: string): RepositoryLayout {
  return {
    root,
    configFile: join(root, 'config.json'),
    metadataFile: join(root, 'metadata.json'),
    remoteStorage: join(root, 'remote'),
    locks: join(root, 'locks'),
    auth: {
      root: join(root, 'auth'),
      keys: join(root, 'auth', 'keys'),
      signingKey: join(root, 'auth', 'signing-key.pem'),
      tokens: (holder) => join(root, 'auth', 'tokens', holder),
    },
    tls: {
      root: join(root, 'tls'),
      authority: join(root, 'tls', 'ca.pem'),
      authorityKey: join(root, 'tls', 'ca-key.pem'),
      certificate: join(root, 'tls', 'server.pem'),
    },
    pageserver: serviceLayout(join(root, 'pageserver'), 'pageserver', 'pageserver'),
    safekeeper: (id) => serviceLayout(join(root, 'safekeepers', String(id)), 'safekeeper', 'safekeeper'),
    compute: (endpoint) => serviceLayout(join(root, 'computes', endpoint), 'compute', 'supervisor'),
  };
}
