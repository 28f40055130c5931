import { NO_TOKENS } from '@zenith/auth';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { lsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { nodeId, type AppendRequest, type NodeId, type ProposerMessage } from '@zenith/consensus';
import { decodeProposerMessage, PostgresSession, type CopyBothStream } from '@zenith/wire';
import { afterEach, expect, test } from 'vitest';
import { RecentWal } from './recent-wal.ts';
import { SafekeeperLink } from './safekeeper-link.ts';

const START = lsn(0x100_0000);
const node = nodeId(1);

/** What there is to send. Unit: bytes. */
const WAL_LENGTH = 500_000;

let server: Server | undefined;
let link: SafekeeperLink | undefined;
afterEach(() => {
  link?.close();
  server?.close();
});

/** A link to a safekeeper that only listens; `received` grows, `until` resolves when it has so many messages, `disconnected` when the link has given the connection up. */
async function connectedLink(): Promise<{
  readonly link: SafekeeperLink;
  readonly stream: CopyBothStream;
  readonly received: ProposerMessage[];
  readonly until: (count: number) => Promise<void>;
  readonly disconnected: Promise<string>;
}> {
  const received: ProposerMessage[] = [];
  const safekeeper: { stream?: CopyBothStream } = {};
  let wake: () => void = () => undefined;
  server = createServer((socket) => {
    const handlers = {
      startup: () => ({}),
      query: (_sql: string, session: PostgresSession): void => {
        safekeeper.stream = session.startCopyBoth((_bytes, view, offset, length) => {
          received.push(decodeProposerMessage(view, offset, length));
          wake();
        });
      },
      closed: () => undefined,
    };
    return new PostgresSession(socket, handlers, { messageLengthMax: 1 << 20, startupTimeoutMs: 5_000 });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const recent = new RecentWal(START, 1 << 20);
  recent.append(new Uint8Array(WAL_LENGTH), 0, WAL_LENGTH);
  const sources = {
    tenant: '11'.repeat(16) as TenantId,
    timeline: '22'.repeat(16) as TimelineId,
    recent: () => recent,
    local: () => undefined,
    tokens: NO_TOKENS,
    address: () => undefined,
    holder: () => undefined,
  };
  const { port } = server.address() as AddressInfo;
  let onDisconnected: (reason: string) => void = () => undefined;
  const disconnected = new Promise<string>((resolve) => (onDisconnected = resolve));
  const made = await new Promise<SafekeeperLink>((resolve) => {
    const handlers = {
      connected: () => resolve(connecting),
      disconnected: (_node: NodeId, reason: string) => onDisconnected(reason),
      message: () => undefined,
    };
    const connecting = new SafekeeperLink({ id: node, host: '127.0.0.1', port }, sources, handlers, () => 0.5);
    connecting.start();
  });
  link = made;
  const until = async (count: number): Promise<void> => {
    while (received.length < count)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  const { stream } = safekeeper;
  if (stream === undefined) throw new Error('the link is connected and nothing was asked for');
  return { link: made, stream, received, until, disconnected };
}

function appendRequest(begin: number, end: number, commitLsn: Lsn, probe = false): AppendRequest {
  return {
    type: 'appendRequest',
    generation: 1,
    term: 1,
    beginLsn: lsn(START + begin),
    endLsn: lsn(START + end),
    commitLsn,
    peerHorizonLsn: START,
    probe,
  };
}

test('a commit LSN rides on the WAL that follows it, and is not told twice', async () => {
  const safekeeper = await connectedLink();
  const requests = [
    appendRequest(0, 100, START),
    appendRequest(100, 200, lsn(START + 100)),
    appendRequest(200, 200, lsn(START + 200), true),
  ];
  for (const request of requests) {
    safekeeper.link.append(appendRequest(0, 0, request.commitLsn), null);
    safekeeper.link.append(request, null);
  }
  await safekeeper.until(3);
  // What comes last shows that nothing is still on its way.
  safekeeper.link.append(appendRequest(200, 300, lsn(START + 200)), null);
  await safekeeper.until(4);
  expect(safekeeper.received.slice(0, 3)).toEqual(requests);
});

test('a commit LSN that no WAL follows is told, the newest of several once', async () => {
  const safekeeper = await connectedLink();
  for (const commit of [100, 200, 300]) safekeeper.link.append(appendRequest(300, 300, lsn(START + commit)), null);
  await safekeeper.until(1);
  expect(safekeeper.received).toEqual([appendRequest(300, 300, lsn(START + 300))]);
  safekeeper.link.append(appendRequest(300, 300, lsn(START + 400)), null);
  await safekeeper.until(2);
  expect(safekeeper.received[1]).toMatchObject({ commitLsn: START + 400 });
});

test('an orderly end tells a commit LSN that still waits', async () => {
  const safekeeper = await connectedLink();
  safekeeper.link.append(appendRequest(300, 300, lsn(START + 300)), null);
  safekeeper.link.close();
  await safekeeper.until(1);
  expect(safekeeper.received).toEqual([appendRequest(300, 300, lsn(START + 300))]);
});

test('a safekeeper that reads nothing for a while holds the sending up, and gets everything in order when it reads on', async () => {
  const safekeeper = await connectedLink();
  safekeeper.stream.pause();
  const requests = Array.from({ length: 100 }, (_, i) => appendRequest(0, WAL_LENGTH, lsn(START + i)));
  for (const request of requests) safekeeper.link.append(request, null);
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(safekeeper.received).toEqual([]);
  safekeeper.stream.resume();
  await safekeeper.until(requests.length);
  expect(safekeeper.received).toEqual(requests);
});

test('a safekeeper that reads nothing while more and more is to be sent is given up, with a reason', async () => {
  const safekeeper = await connectedLink();
  safekeeper.stream.pause();
  for (let i = 0; i < 20; i++) safekeeper.link.append(appendRequest(0, WAL_LENGTH, START), null);
  for (let i = 0; i < 11_000; i++) safekeeper.link.append(appendRequest(0, 0, START, true), null);
  expect(await safekeeper.disconnected).toBe('it does not take what is sent to it');
});
