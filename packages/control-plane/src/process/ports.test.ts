import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { findFreePort, isPortFree, requireFreePort } from './ports.ts';

async function listening<T>(work: (port: number) => Promise<T>): Promise<T> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

test('a port that is listened on is taken, and the error names it', async () => {
  await listening(async (port) => {
    expect(await isPortFree('127.0.0.1', port)).toBe(false);
    await expect(requireFreePort('127.0.0.1', port, 'the pageserver', 'stop it')).rejects.toMatchObject({
      code: 'port-taken',
      message: `port ${port} on 127.0.0.1, wanted by the pageserver, is taken by another program: stop it`,
    });
  });
});

test('a port is free again when its listener is gone', async () => {
  const port = await listening((taken) => Promise.resolve(taken));
  expect(await isPortFree('127.0.0.1', port)).toBe(true);
});

test('the search passes ports that are taken and ports that are promised', async () => {
  await listening(async (port) => {
    const found = await findFreePort('127.0.0.1', port, new Set([port + 1, port + 2]));
    expect(found).toBeGreaterThan(port + 2);
    expect(await isPortFree('127.0.0.1', found)).toBe(true);
  });
});

test('a search without a free port says where it looked', async () => {
  await expect(findFreePort('127.0.0.1', 65_534, new Set([65_534, 65_535]))).rejects.toMatchObject({
    code: 'no-free-port',
    message: 'no free port on 127.0.0.1 from 65534 to 65535: name one with --port',
  });
});

test('an address that is not of this machine is an error, not a taken port', async () => {
  await expect(isPortFree('192.0.2.1', 5432)).rejects.toMatchObject({ code: 'system' });
});
