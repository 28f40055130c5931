import { createServer } from 'node:net';
import { ComputeError, messageOf, systemCodeOf } from '../errors.ts';

/** A taken port is better said before anything is done than in the words of PostgreSQL's log. @throws ComputeError `port-taken`, `invalid-config` */
export async function requirePortFree(host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    if (systemCodeOf(error) === 'EADDRINUSE')
      throw new ComputeError(
        'port-taken',
        `port ${port} of ${host} is taken by another program: stop it, or choose another port`,
        { cause: error },
      );
    throw new ComputeError('invalid-config', `PostgreSQL cannot listen on ${host} port ${port}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
