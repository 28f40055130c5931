import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { NO_TOKENS } from '@zenith/auth';
import { lsn } from '@zenith/base';
import { createControl, nodeId } from '@zenith/consensus';
import { encodeXLogDataHeader, PostgresSession } from '@zenith/wire';
import { afterEach, expect, test } from 'vitest';
import { encodeControlFile } from '../control-file/codec.ts';
import { testConfiguration, testIdentity } from '../testing/test-wal.test-support.ts';
import { openDonorWal, readDonorControl, type StallTimer } from './donor.ts';

const identity = testIdentity();
const control = createControl(nodeId(1), identity, testConfiguration(1));
const cleanups: (() => unknown)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
});

/** A donor that answers by `answer`. */
async function donorThat(answer: (response: ServerResponse) => void): Promise<Parameters<typeof readDonorControl>[0]> {
  const server = createServer((_, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { id: 1, host: '127.0.0.1', port: 0, httpPort: (server.address() as AddressInfo).port };
}

/** A timer that runs out when whoever tests says so. */
class TestTimer implements StallTimer {
  onStalled: () => void = () => undefined;
  closed = false;
  #refreshes = 0;
  #awaited = { count: 0, resolve: (): void => undefined };

  start = (onStalled: () => void): StallTimer => {
    this.onStalled = onStalled;
    return this;
  };

  refresh(): void {
    this.#refreshes++;
    if (this.#refreshes >= this.#awaited.count) this.#awaited.resolve();
  }

  close(): void {
    this.closed = true;
  }

  /** Resolves when it was put back so many times. */
  refreshed(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited = { count, resolve };
      if (this.#refreshes >= count) resolve();
    });
  }
}

test('each piece of an answer gives a donor the whole time again', async () => {
  const bytes = encodeControlFile(control);
  const timer = new TestTimer();
  const donor = await donorThat((response) => {
    void (async () => {
      response.writeHead(200);
      response.flushHeaders();
      await timer.refreshed(1);
      for (const [i, byte] of bytes.subarray(0, 10).entries()) {
        response.write(Uint8Array.of(byte));
        await timer.refreshed(2 + i);
      }
      response.end(bytes.subarray(10));
    })();
  });
  const { tenant, timeline } = identity;
  expect(await readDonorControl(donor, NO_TOKENS, tenant, timeline, timer.start)).toEqual(control);
  expect(timer.closed).toBe(true);
});

test.each<[string, (response: ServerResponse) => void]>([
  ['says nothing at all', () => undefined],
  ['stops in the middle', (response) => void response.write(encodeControlFile(control).subarray(0, 20))],
])('a donor that %s is given up when the time is over', async (_, answer) => {
  const timer = new TestTimer();
  let noteAsked: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    noteAsked = resolve;
  });
  const donor = await donorThat((response) => {
    answer(response);
    noteAsked();
  });
  const { tenant, timeline } = identity;
  const reading = readDonorControl(donor, NO_TOKENS, tenant, timeline, timer.start);
  await asked;
  timer.onStalled();
  await expect(reading).rejects.toThrow('it stopped to answer');
  expect(timer.closed).toBe(true);
});

test('a donor whose WAL stands still is given up when the time is over, and each piece gives it the whole time again', async () => {
  const { tenant, timeline, timelineStartLsn: start } = identity;
  let send: (bytes: Uint8Array) => void = () => undefined;
  const query = (_: string, session: PostgresSession): void => {
    const stream = session.startCopyBoth(() => undefined);
    send = (bytes) => void stream.send(encodeXLogDataHeader(start, lsn(start + 8), 0), bytes);
  };
  const limits = { messageLengthMax: 1 << 20, startupTimeoutMs: 60_000 };
  const server = createTcpServer(
    (socket) => new PostgresSession(socket, { startup: () => ({}), query, closed: () => undefined }, limits),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const donor = { id: 1, host: '127.0.0.1', port: (server.address() as AddressInfo).port, httpPort: 0 };
  const timers: TestTimer[] = [];
  const startTimer = (onStalled: () => void): StallTimer => {
    const timer = new TestTimer();
    timers.push(timer);
    return timer.start(onStalled);
  };
  const wal = await openDonorWal(donor, NO_TOKENS, tenant, timeline, start, startTimer);
  send(Uint8Array.of(1, 2, 3, 4));
  expect(await wal.next()).toEqual(Uint8Array.of(1, 2, 3, 4));
  const waiting = wal.next();
  expect(timers.map(({ closed }) => closed)).toEqual([true, false]);
  timers[1]?.onStalled();
  await expect(waiting).rejects.toMatchObject({
    code: 'peer-unavailable',
    message: `safekeeper 1 at 127.0.0.1:${donor.port}: it sends no more of the WAL that it has`,
  });
  expect(timers[1]?.closed).toBe(true);
});
