import { readFileSync } from 'node:fs';
import { isId, type TenantId } from '@zenith/base';
import { TlsOptionsSchema } from '@zenith/auth';
import { parseRemoteLocation } from '@zenith/remote-storage';
import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import { pgMajor, portNumber } from '../metadata/records.ts';

/** Most safekeepers a repository may have. */
export const SAFEKEEPERS_MAX = 7;

/** Where computes' ports are looked for from. */
export const COMPUTE_PORT_FIRST = 55432;

/** The pageserver's ports: page protocol, HTTP. */
export const PAGESERVER_PORTS = { port: 64000, httpPort: 9898 } as const;

/** Safekeeper `id` (from 1) listens on the first for WAL and on the second for HTTP. */
export function safekeeperPorts(id: number): { readonly port: number; readonly httpPort: number } {
  return { port: 64100 + id, httpPort: 64200 + id };
}

const nodePorts = { port: portNumber, httpPort: portNumber };

/** An address to listen on: an IP address, or a name that resolves to one. */
const hostName = v.pipe(v.string(), v.regex(/^[0-9A-Za-z.:_-]{1,255}$/, 'expected a host name or an IP address'));

const remoteLocation = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    try {
      parseRemoteLocation(dataset.value);
    } catch (error) {
      addIssue({ message: (error as Error).message });
    }
  }),
);

const configSchema = v.pipe(
  v.strictObject({
    format: v.literal(1),
    tenant: v.pipe(
      v.string(),
      v.check(isId, 'expected 32 hexadecimal digits'),
      v.transform((text) => text as TenantId),
    ),
    pgMajor,
    pgBinDir: v.nullable(v.pipe(v.string(), v.startsWith('/', 'expected an absolute path'))),
    superuser: v.pipe(v.string(), v.minLength(1), v.maxLength(63)),
    osUser: v.nullable(v.pipe(v.string(), v.minLength(1))),
    host: hostName,
    pageserver: v.strictObject(nodePorts),
    safekeepers: v.pipe(
      v.array(v.strictObject({ id: v.pipe(v.number(), v.integer(), v.minValue(1)), ...nodePorts })),
      v.minLength(1),
      v.maxLength(SAFEKEEPERS_MAX),
      v.check((list) => new Set(list.map((one) => one.id)).size === list.length, 'two safekeepers have the same id'),
    ),
    computePortFirst: portNumber,
    remoteStorage: v.optional(v.nullable(remoteLocation), null),
    auth: v.optional(v.boolean(), false),
    tls: v.optional(v.union([v.boolean(), TlsOptionsSchema]), false),
  }),
  v.check((config) => {
    const ports = [config.pageserver, ...config.safekeepers].flatMap((node) => [node.port, node.httpPort]);
    return new Set(ports).size === ports.length;
  }, 'two services have the same port'),
);

/**
 * What `zenith init` was given; `.zenith/config.json`. May be edited by hand while everything is stopped.
 *
 * - `pgBinDir` a distribution's PostgreSQL, null for npm's; `superuser` the database superuser that initdb made
 * - `osUser` whom PostgreSQL runs as when the services run as root, null to choose one
 * - `host` the address everything listens on
 * - `remoteStorage` where the pageserver's layers go as well: a folder, or s3://…; null for the folder `remote` in the repository
 * - `auth` whether every connection between services must show a token
 * - `tls` whether every connection between services is encrypted, by the repository's own certificate; or where another one is, its key, and the authorities that know it
 */
export type RepositoryConfig = v.InferOutput<typeof configSchema>;

/** Reads a configuration from JSON text. @param source names it in the error @throws ControlPlaneError `repository-invalid` */
export function parseConfig(text: string, source: string): RepositoryConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ControlPlaneError('repository-invalid', `${source} is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const parsed = v.safeParse(configSchema, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const where = v.getDotPath(issue);
  throw new ControlPlaneError('repository-invalid', `${source}: ${where === null ? '' : `${where}: `}${issue.message}`);
}

/** @throws ControlPlaneError `repository-invalid`; `system` when it cannot be read */
export function readConfig(path: string): RepositoryConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ControlPlaneError('system', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  return parseConfig(text, path);
}

/** The JSON text of a configuration; what {@link parseConfig} reads. @throws ControlPlaneError `repository-invalid` when it is not a valid one */
export function formatConfig(config: RepositoryConfig): string {
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  parseConfig(text, 'the new configuration');
  return text;
}
