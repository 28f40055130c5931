import { isIP, isIPv6 } from 'node:net';
import { PageError } from './errors.ts';

/** Where a page service listens. */
export type PageServerAddress =
  | { readonly kind: 'tcp'; /** Numeric IPv4 or IPv6 address. */ readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; /** Absolute path of the socket. */ readonly path: string };

/** Longest path of a Unix socket that every kernel takes. Unit: bytes. */
const SOCKET_PATH_LENGTH_MAX = 107;

/**
 * Reads `tcp:127.0.0.1:64000`, `tcp:[::1]:64000` or `unix:/path`. Hosts are numeric: the preload library asks no name service from inside a read.
 * @throws PageError `invalid-address`
 */
export function parsePageServerAddress(text: string): PageServerAddress {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path.startsWith('/') && Buffer.byteLength(path) <= SOCKET_PATH_LENGTH_MAX && !path.includes('\0'))
      return { kind: 'unix', path };
  }
  const match = /^tcp:(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match !== null) {
    const host = match[1] ?? match[2] ?? '';
    const port = Number(match[3]);
    const family = match[1] === undefined ? 4 : 6;
    if (isIP(host) === family && port >= 1 && port <= 65_535) return { kind: 'tcp', host, port };
  }
  throw new PageError(
    'invalid-address',
    `'${text}' is not an address of a pageserver: expected tcp:127.0.0.1:64000, tcp:[::1]:64000 or unix:/absolute/path (at most ${SOCKET_PATH_LENGTH_MAX} bytes)`,
  );
}

/** The text form {@link parsePageServerAddress} reads. */
export function formatPageServerAddress(address: PageServerAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return isIPv6(address.host) ? `tcp:[${address.host}]:${address.port}` : `tcp:${address.host}:${address.port}`;
}
