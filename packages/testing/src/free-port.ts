import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that systems give to outgoing connections (from 32768 on Linux): a server that is started again on a port of theirs finds it taken now and then, for a minute by a connection
 * that is closed already. Not up to the very end, since computes' HTTP ports are looked for a thousand above their own.
 */
const FIRST = 10_000;
const END = 31_000;

/** Blocks looked at before it is clear that something else is wrong. */
const ATTEMPTS_MAX = 1_000;

/** The first of `count` consecutive TCP ports of the loopback address that were free a moment ago. They stay free for who uses them, but for other tests' random choices. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const first = randomInt(FIRST, END - count);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => canListen(first + i)));
    if (!free.includes(false)) return first;
  }
  throw new Error(`no ${count} consecutive free ports between ${FIRST} and ${END}`);
}

/** One of {@link freePorts}. */
export async function freePort(): Promise<number> {
  return freePorts(1);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
