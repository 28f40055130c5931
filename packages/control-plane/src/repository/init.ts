import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { AuthError, ServerCertificate, Trust, type TlsOptions } from '@zenith/auth';
import { newTenantId, newTimelineId, ZenithError, type TenantId } from '@zenith/base';
import type { InitializedDirectory, Installation } from '@zenith/compute';
import type { PgMajor } from '@zenith/pg-format';
import { makeCertificate } from '../credentials/certificates.ts';
import { makeSigningKey } from '../credentials/signing-key.ts';
import { MAIN_BRANCH } from '../branches/create-branch.ts';
import {
  ControlPlaneError,
  isSystemError,
  oneLine,
  throwIfInterrupted,
  type ControlPlaneErrorCode,
} from '../errors.ts';
import { Catalog } from '../metadata/catalog.ts';
import { EmbeddedMetadataStore } from '../metadata/embedded-store.ts';
import { replaceFile, syncFolder } from '../metadata/replace-file.ts';
import { pageserverConfig, writeServiceConfig } from '../nodes/service-config.ts';
import { identifyProcess } from '@zenith/service';
import {
  COMPUTE_PORT_FIRST,
  formatConfig,
  PAGESERVER_PORTS,
  safekeeperPorts,
  SAFEKEEPERS_MAX,
  type RepositoryConfig,
} from './config.ts';
import { importCluster } from './import-cluster.ts';
import { REPOSITORY_FOLDER, repositoryLayout, type RepositoryLayout } from './layout.ts';
import { openRepositoryAt, type Repository } from './repository.ts';

/** What a new repository is to be; everything has a default. */
export interface InitOptions {
  /** Folder in which `.zenith` is made. */
  readonly folder: string;
  /** PostgreSQL's major version; 18, or that of `pgBinDir`. */
  readonly pgMajor?: PgMajor | undefined;
  /** A distribution's PostgreSQL programs instead of npm's. */
  readonly pgBinDir?: string | undefined;
  readonly safekeepers?: number | undefined;
  readonly host?: string | undefined;
  readonly pageserverPort?: number | undefined;
  readonly pageserverHttpPort?: number | undefined;
  /** Safekeeper i listens on this plus i − 1; likewise for HTTP. */
  readonly safekeeperPortFirst?: number | undefined;
  readonly safekeeperHttpPortFirst?: number | undefined;
  readonly computePortFirst?: number | undefined;
  /** Whether PostgreSQL's pages carry checksums; not unless asked for: every page is checked where it is stored anyway. */
  readonly dataChecksums?: boolean | undefined;
  /** Where the pageserver's layers go as well: a folder, or s3://bucket/prefix?endpoint=URL; the folder `remote` in the repository when left out. */
  readonly remoteStorage?: string | undefined;
  /** Whether every connection between services must show a token; not unless asked for. */
  readonly auth?: boolean | undefined;
  /** Whether every connection between services is encrypted: by a certificate that is made, or by one that is there. Not unless asked for. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** OS user for PostgreSQL when run as root. */
  readonly osUser?: string | undefined;
  /** Told what is being done, step by step. */
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The database superuser: whoever runs `init`, so that plain `psql` connects; PostgreSQL keeps names that begin with `pg_` for itself. */
function superuserName(): string {
  const { username } = userInfo();
  return username.startsWith('pg_') || username === '' ? 'postgres' : username;
}

/** A folder is given as seen from where the command is; what it is seen from later is another place. */
function absoluteLocation(location: string): string {
  return location.startsWith('s3:') ? location : resolve(location);
}

/** A certificate that is used where it lies. @throws ControlPlaneError `invalid-option` when it cannot be used */
function givenCertificate({ certificate, key, authorities }: TlsOptions): TlsOptions {
  const given = { certificate: resolve(certificate), key: resolve(key), authorities: resolve(authorities) };
  try {
    void new ServerCertificate(given, { error: () => undefined });
    void new Trust(given.authorities).options;
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    throw new ControlPlaneError('invalid-option', error.message, { cause: error });
  }
  return given;
}

function makeConfig(options: InitOptions, tenant: TenantId, installation: Installation): RepositoryConfig {
  const count = options.safekeepers ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > SAFEKEEPERS_MAX)
    throw new ControlPlaneError('invalid-option', `a repository has 1 to ${SAFEKEEPERS_MAX} safekeepers, not ${count}`);
  const safekeepers = Array.from({ length: count }, (_, index) => {
    const ports = safekeeperPorts(1);
    return {
      id: index + 1,
      port: (options.safekeeperPortFirst ?? ports.port) + index,
      httpPort: (options.safekeeperHttpPortFirst ?? ports.httpPort) + index,
    };
  });
  const config: RepositoryConfig = {
    format: 1,
    tenant,
    pgMajor: installation.major,
    pgBinDir: options.pgBinDir === undefined ? null : resolve(options.pgBinDir),
    superuser: superuserName(),
    osUser: options.osUser ?? null,
    host: options.host ?? '127.0.0.1',
    pageserver: {
      port: options.pageserverPort ?? PAGESERVER_PORTS.port,
      httpPort: options.pageserverHttpPort ?? PAGESERVER_PORTS.httpPort,
    },
    safekeepers,
    computePortFirst: options.computePortFirst ?? COMPUTE_PORT_FIRST,
    remoteStorage: options.remoteStorage === undefined ? null : absoluteLocation(options.remoteStorage),
    auth: options.auth ?? false,
    tls: typeof options.tls === 'object' ? givenCertificate(options.tls) : (options.tls ?? false),
  };
  try {
    formatConfig(config);
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    throw new ControlPlaneError(
      'invalid-option',
      error.message.replace('the new configuration: ', 'these options do not fit together: '),
      { cause: error },
    );
  }
  return config;
}

/** Runs `work`, giving the compute package's failures this package's codes. */
async function asControlPlaneError<T>(code: ControlPlaneErrorCode, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ControlPlaneError || !(error instanceof ZenithError)) throw error;
    throw new ControlPlaneError(code, oneLine(error), { cause: error });
  }
}

/** How often a folder is tried again in which a child of a killed command is still making files, after pauses that grow by 100 ms. */
const REMOVAL_TRIES_MAX = 10;

/** Folders of `zenith init` commands that were killed: their names carry the process, and it is gone. */
function removeAbandoned(folder: string): void {
  for (const name of readdirSync(folder)) {
    const match = /^\.zenith\.new-(\d+)-/.exec(name);
    if (match !== null && identifyProcess(Number(match[1])) === undefined)
      rmSync(join(folder, name), { recursive: true, force: true, maxRetries: REMOVAL_TRIES_MAX });
  }
}

function makeTemporaryFolder(folder: string): string {
  try {
    removeAbandoned(folder);
    return mkdtempSync(join(folder, `.zenith.new-${process.pid}-`));
  } catch (error) {
    throw new ControlPlaneError('system', `cannot make a repository in ${folder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Fills the folder of a new repository. */
async function fill(root: string, options: InitOptions, installation: Installation): Promise<void> {
  const { onProgress, signal } = options;
  const tenant = newTenantId();
  const timeline = newTimelineId();
  const config = makeConfig(options, tenant, installation);
  const layout = repositoryLayout(root);
  throwIfInterrupted(signal);
  onProgress?.(`creating a PostgreSQL ${installation.major} cluster (initdb)`);
  const cluster = await asControlPlaneError('initdb-failed', () =>
    runInitdb(config, installation, options.dataChecksums ?? false),
  );
  try {
    throwIfInterrupted(signal);
    onProgress?.('importing it into the pageserver');
    writeServiceConfig(layout.pageserver, pageserverConfig(config));
    const imported = await importCluster({
      dataDir: layout.pageserver.dataDir,
      tenant,
      timeline,
      pgdata: cluster.pgdata,
      signal,
    });
    for (const { id } of config.safekeepers) mkdirSync(layout.safekeeper(id).dataDir, { recursive: true });
    mkdirSync(join(root, 'computes'));
    if (config.auth) makeSigningKey(layout.auth);
    if (config.tls === true) await makeCertificate({ config, layout });
    setModes(layout);
    EmbeddedMetadataStore.create(layout.metadataFile);
    const catalog = new Catalog(new EmbeddedMetadataStore(layout.metadataFile, layout.locks));
    const createdAt = new Date().toISOString();
    await catalog.addBranch(MAIN_BRANCH, { id: timeline, ...imported, ancestor: undefined, createdAt });
    replaceFile(layout.configFile, formatConfig(config));
  } finally {
    cluster.remove();
  }
}

/**
 * Pages and WAL are for their owner only. The folder itself and `computes` can be passed through, though not listed: as root PostgreSQL runs as another OS user, in a folder below.
 */
function setModes(layout: RepositoryLayout): void {
  chmodSync(layout.pageserver.dataDir, 0o700);
  chmodSync(dirname(layout.safekeeper(1).dataDir), 0o700);
  chmodSync(dirname(layout.compute('any').dataDir), 0o711);
  chmodSync(layout.root, 0o711);
}

async function runInitdb(
  config: RepositoryConfig,
  installation: Installation,
  dataChecksums: boolean,
): Promise<InitializedDirectory> {
  const { chooseOsUser, initdb } = await import('@zenith/compute');
  return initdb({
    installation,
    user: chooseOsUser(config.osUser ?? undefined),
    superuser: config.superuser,
    dataChecksums,
  });
}

/**
 * Makes a repository: a fresh PostgreSQL cluster, imported as the branch `main`. All or nothing: it is made beside its place and moved there. A folder that does not exist is made, those above it are not.
 * @throws ControlPlaneError `repository-exists`, `invalid-option`, `postgres-not-found`, `initdb-failed`, `import-failed`, `interrupted`, `system`
 */
export async function initRepository(options: InitOptions): Promise<Repository> {
  const folder = resolve(options.folder);
  const made = makeFolder(folder);
  try {
    return await initIn(folder, options);
  } catch (error) {
    // Only empty, as it was made: what others have put there meanwhile stays.
    if (made) removeIfEmpty(folder);
    throw error;
  }
}

async function initIn(folder: string, options: InitOptions): Promise<Repository> {
  const place = join(folder, REPOSITORY_FOLDER);
  const exists = new ControlPlaneError(
    'repository-exists',
    `${place} exists already: use it, or remove it (with all its data) to start anew`,
  );
  if (readable(folder).includes(REPOSITORY_FOLDER)) throw exists;
  const installation = await asControlPlaneError('postgres-not-found', async () => {
    const { installationAt, resolveInstallation } = await import('@zenith/compute');
    if (options.pgBinDir !== undefined && options.pgMajor === undefined) return installationAt(options.pgBinDir);
    return resolveInstallation(options.pgMajor ?? 18, options.pgBinDir);
  });
  const root = makeTemporaryFolder(folder);
  try {
    await fill(root, options, installation);
    throwIfInterrupted(options.signal);
    renameSync(root, place);
    syncFolder(folder);
  } catch (error) {
    rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    // Ctrl-C ends initdb as well: that it failed is then no news.
    throwIfInterrupted(options.signal);
    if (isSystemError(error, 'ENOTEMPTY') || isSystemError(error, 'EEXIST')) throw exists;
    throw error;
  }
  return openRepositoryAt(place);
}

/** True when the folder was made; false when it was there. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    throw new ControlPlaneError('system', `cannot make ${folder}: ${(error as Error).message}`, { cause: error });
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!isSystemError(error, 'ENOTEMPTY') && !isSystemError(error, 'EEXIST')) throw error;
  }
}

function readable(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw new ControlPlaneError('system', `cannot look into ${folder}: ${(error as Error).message}`, { cause: error });
  }
}
