import { createServer } from 'node:net';
import { ControlPlaneError, isSystemError } from '../errors.ts';

/** The highest TCP port. */
export const PORT_MAX = 65535;

/** True when something could listen on the port now. A moment later it may not: who then fails to bind must say so itself. */
export function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (isSystemError(error, 'EADDRINUSE')) resolve(false);
      else
        reject(new ControlPlaneError('system', `cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** @throws ControlPlaneError `port-taken`, naming the port, who wants it and what to do */
export async function requireFreePort(host: string, port: number, wantedBy: string, remedy: string): Promise<void> {
  if (await isPortFree(host, port)) return;
  throw new ControlPlaneError(
    'port-taken',
    `port ${port} on ${host}, wanted by ${wantedBy}, is taken by another program: ${remedy}`,
  );
}

/** How far to look for a free port. */
const PORTS_TRIED_MAX = 1000;

/**
 * The lowest port from `first` on that nobody listens on and that is not in `reserved` (ports promised to others that may be stopped now).
 * @throws ControlPlaneError `no-free-port`
 */
export async function findFreePort(host: string, first: number, reserved: ReadonlySet<number>): Promise<number> {
  const end = Math.min(first + PORTS_TRIED_MAX, PORT_MAX + 1);
  for (let port = first; port < end; port++) {
    if (!reserved.has(port) && (await isPortFree(host, port))) return port;
  }
  throw new ControlPlaneError(
    'no-free-port',
    `no free port on ${host} from ${first} to ${end - 1}: name one with --port`,
  );
}
