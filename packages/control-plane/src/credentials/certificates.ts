import { X509Certificate } from 'node:crypto';
import { issueAuthority, issueCertificate } from '@zenith/auth';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import { replaceFile } from '../metadata/replace-file.ts';
import type { RepositoryConfig } from '../repository/config.ts';
import type { RepositoryLayout } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import { withAuthLock } from './holders.ts';
import { tlsOptions } from './tls-options.ts';

const DAY_MS = 24 * 3600 * 1000;

/** Who knows the services by it has a copy of it, so that it is not easily replaced. Unit: milliseconds. */
const AUTHORITY_LIFETIME_MS = 3650 * DAY_MS;

/** Unit: milliseconds. */
const CERTIFICATE_LIFETIME_MS = 730 * DAY_MS;

/** Whatever starts a service makes a new certificate when this one lasts no longer. Unit: milliseconds. */
const RENEW_BEFORE_MS = 180 * DAY_MS;

/** A certificate that is in use. */
export interface CertificateStatus {
  /** `server`: shown by all services; `authority`: by which they are known. */
  readonly use: 'server' | 'authority';
  readonly file: string;
  /** Names and addresses that it is good for; none for an authority. */
  readonly hosts: readonly string[];
  /** Unit: milliseconds since 1970. */
  readonly validUntilMs: number;
  /** SHA-256 in hexadecimal digits with colons. */
  readonly fingerprint: string;
}

/** What is needed of a repository that is being made. */
type Place = Pick<Repository, 'config' | 'layout'>;

/** The certificates in use, the services' first. @throws ControlPlaneError `tls-off`, `repository-invalid` */
export function listCertificates(repository: Repository): CertificateStatus[] {
  const { certificate, authorities } = requireTls(repository);
  return [statusOf('server', certificate), statusOf('authority', authorities)];
}

/**
 * Makes a new certificate and key for the services, which show it from the next connection on. Makes the authority first where there is none.
 * @throws ControlPlaneError `tls-off`; `invalid-option` when the certificate is not the repository's own; `repository-invalid`, `busy`, `system`
 */
export async function renewCertificate(repository: Repository): Promise<void> {
  requireTls(repository);
  if (typeof repository.config.tls === 'object')
    throw new ControlPlaneError(
      'invalid-option',
      `the certificate ${repository.config.tls.certificate} was not made here: replace the file, the services show it from the next connection on`,
    );
  await withAuthLock(repository, () => makeCertificate(repository));
}

/** Makes a new certificate when the one in use ends within half a year. Nothing where connections are plain, or the certificate is somebody else's. */
export async function renewWhenDue(repository: Repository): Promise<void> {
  if (repository.config.tls !== true) return;
  if (statusOf('server', repository.layout.tls.certificate).validUntilMs - Date.now() < RENEW_BEFORE_MS)
    await renewCertificate(repository);
}

/** Makes a certificate for the services, and the authority for it where there is none. Durable when it returns. @throws ControlPlaneError `repository-invalid`, `system` */
export async function makeCertificate({ config, layout }: Place): Promise<void> {
  const { root, authority, authorityKey, certificate } = layout.tls;
  const nowMs = Date.now();
  try {
    mkdirSync(root, { recursive: true });
    chmodSync(root, 0o755); // the authority's certificate is for everybody
  } catch (error) {
    throw new ControlPlaneError('system', `cannot make ${root}: ${(error as Error).message}`, { cause: error });
  }
  let pair = { certificate: read(authority), key: read(authorityKey) };
  if (pair.certificate === undefined && pair.key === undefined) {
    const made = await issueAuthority(`Zenith ${config.tenant}`, nowMs, AUTHORITY_LIFETIME_MS);
    replaceFile(authorityKey, made.key);
    replaceFile(authority, made.certificate, 0o644);
    pair = made;
  }
  if (pair.certificate === undefined || pair.key === undefined)
    throw new ControlPlaneError(
      'repository-invalid',
      `of ${authority} and ${authorityKey} one is missing: put it back, or remove the other to have a new authority made`,
    );
  const ca = { certificate: pair.certificate, key: pair.key };
  let made;
  try {
    made = await issueCertificate(ca, hostsOf(config), nowMs, CERTIFICATE_LIFETIME_MS);
  } catch (error) {
    // What the parser says could quote the key.
    throw new ControlPlaneError('repository-invalid', `${authority} and ${authorityKey} cannot certify anything`, {
      cause: error,
    });
  }
  replaceFile(certificate, made.certificate + made.key);
}

/** What the services may be called: the address they listen on, and this machine's own names. */
function hostsOf({ host }: RepositoryConfig): string[] {
  return [...new Set([host, 'localhost', '127.0.0.1', '::1', hostname()])];
}

function statusOf(use: CertificateStatus['use'], file: string): CertificateStatus {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(file));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ControlPlaneError(
      'repository-invalid',
      `the certificate ${file} cannot be used${code === undefined ? '' : ` (${code})`}; 'zenith auth certificates --renew' makes one`,
      { cause: error },
    );
  }
  const hosts = [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,]+)/g)];
  return {
    use,
    file,
    hosts: hosts.map(([, host]) => host ?? ''),
    validUntilMs: Date.parse(certificate.validTo),
    fingerprint: certificate.fingerprint256,
  };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw new ControlPlaneError('system', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function requireTls({ config, layout }: { config: RepositoryConfig; layout: RepositoryLayout }): {
  readonly certificate: string;
  readonly authorities: string;
} {
  const options = tlsOptions({ config, layout });
  if (options !== undefined) return options;
  throw new ControlPlaneError(
    'tls-off',
    `this repository's connections are plain: 'zenith init --tls' makes one whose are not; to change this one, stop everything, set "tls" to true in ${layout.configFile}, and give 'zenith auth certificates --renew'`,
  );
}
