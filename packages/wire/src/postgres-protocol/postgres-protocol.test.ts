import { once } from 'node:events';
import { Socket, connect, createServer, type AddressInfo, type Server } from 'node:net';
import { lsn } from '@zenith/base';
import { afterEach, describe, expect, test } from 'vitest';
import { PostgresClient } from './client.ts';
import { CopyBothStream, type CopyDataHandler } from './copy-both.ts';
import { PostgresServerError } from './errors.ts';
import { MessageFramer } from './message-framer.ts';
import { MessageType, cString, encodeError, encodeMessage, encodeStartup } from './messages.ts';
import {
  decodeStatusUpdate,
  decodeWalSenderMessage,
  encodeKeepalive,
  encodeStatusUpdate,
  encodeXLogDataHeader,
  walSenderMessage,
} from './replication.ts';
import { PostgresSession, TypeOid, type PostgresSessionHandlers } from './server.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(handlers: PostgresSessionHandlers): Promise<number> {
  const server = createServer(
    (socket) => new PostgresSession(socket, handlers, { messageLengthMax: 1 << 20, startupTimeoutMs: 5_000 }),
  );
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function client(
  port: number,
  parameters: Record<string, string> = { user: 'u' },
  keepsNothing = false,
): Promise<PostgresClient> {
  return PostgresClient.connect({ host: '127.0.0.1', port, parameters, timeoutMs: 5_000, keepsNothing });
}

/** Sends messages in one chunk; gives the end of all that came until the connection closed. */
async function answersTo(port: number, ...messages: readonly Uint8Array[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answers: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    answers = Buffer.concat([answers.subarray(-1024), chunk]);
  });
  socket.write(Buffer.concat(messages));
  await once(socket, 'close');
  return answers.toString('latin1');
}

const readyForQuery = encodeMessage(MessageType.readyForQuery, Buffer.from('I'));

const silent = { startup: () => ({}), query: () => undefined, closed: () => undefined };

describe('a framer', () => {
  const messages = [0, 1, 5, 100, 70_000].map((length, i) => encodeMessage(65 + i, Buffer.alloc(length, i)));
  const stream = Buffer.concat(messages);

  test.each([1, 2, 3, 7, 64, 1000, 65_536, stream.length])(
    'gives the same messages whatever the chunks are (%i bytes)',
    (size) => {
      const seen: Buffer[] = [];
      const framer = new MessageFramer(1 << 20, (type, bytes, view, offset, length) => {
        expect(view.getUint8(offset - 5)).toBe(type);
        seen.push(encodeMessage(type, bytes.slice(offset, offset + length)));
      });
      for (let at = 0; at < stream.length; at += size) framer.push(Buffer.from(stream.subarray(at, at + size)));
      expect(Buffer.concat(seen).equals(stream)).toBe(true);
      expect(framer.bufferedBytes).toBe(0);
    },
  );

  test.each([1, 2, 3, 7, 64, 1000, 65_536, stream.length])(
    'gives the same messages when the socket reads into its space (%i bytes at most)',
    (size) => {
      const seen: Buffer[] = [];
      const framer = new MessageFramer(1 << 20, (type, bytes, view, offset, length) => {
        expect(view.getUint8(offset - 5)).toBe(type);
        seen.push(encodeMessage(type, bytes.slice(offset, offset + length)));
      });
      for (let round = 0; round < 5; round++) {
        for (let at = 0; at < stream.length;) {
          const { space } = framer;
          const count = Math.min(size, space.length, stream.length - at);
          space.set(stream.subarray(at, at + count));
          framer.received(count);
          at += count;
        }
      }
      expect(Buffer.concat(seen).equals(Buffer.concat(Array.from({ length: 5 }, () => stream)))).toBe(true);
      expect(framer.bufferedBytes).toBe(0);
    },
  );

  test('leaves its space where it is while it is paused and resumed: the socket has been told of it', () => {
    const seen: number[] = [];
    const framer = new MessageFramer(1 << 20, (type, bytes, _view, offset) =>
      seen.push(type, (bytes[offset] as number) - type),
    );
    const read = (space: Uint8Array, type: number): void => {
      const message = encodeMessage(type, Buffer.alloc(100, type));
      space.set(message);
      framer.received(message.length);
    };
    framer.pause();
    read(framer.space, 65);
    const told = framer.space;
    framer.resume();
    read(told, 66);
    expect(seen).toEqual([65, 0, 66, 0]);
  });

  test('keeps chunks that wait before what the socket reads after them', () => {
    const seen: string[] = [];
    const framer = new MessageFramer(1 << 20, (_type, bytes, _view, offset, length) =>
      seen.push(Buffer.from(bytes.subarray(offset, offset + length)).toString()),
    );
    const [first, second] = ['one', 'two'].map((text) => encodeMessage(65, Buffer.from(text)));
    framer.pause();
    framer.push(Buffer.concat([first as Buffer, (second as Buffer).subarray(0, 6)]));
    const told = framer.space;
    framer.resume();
    told.set((second as Buffer).subarray(6));
    framer.received(2);
    expect(seen).toEqual(['one', 'two']);
  });

  test('refuses an announced length beyond the bound before the bytes come', () => {
    const framer = new MessageFramer(100, () => undefined);
    expect(() => framer.push(encodeMessage(65, Buffer.alloc(101)).subarray(0, 5))).toThrow(/at most 100/);
    expect(() => new MessageFramer(100, () => undefined).push(Buffer.of(65, 0, 0, 0, 3))).toThrow(/announced/);
  });

  test('hands over nothing while paused, and the rest in order after resuming', () => {
    const seen: number[] = [];
    const framer = new MessageFramer(1 << 20, (type) => {
      seen.push(type);
      if (type === 66) framer.pause();
    });
    framer.push(Buffer.from(stream));
    expect(seen).toEqual([65, 66]);
    framer.resume();
    expect(seen).toEqual([65, 66, 67, 68, 69]);
  });
});

describe('client and server', () => {
  test('exchange startup parameters, results with NULLs, and errors that leave the session usable', async () => {
    const started: string[][] = [];
    const port = await serve({
      ...silent,
      startup: (parameters) => {
        started.push(...parameters);
        return { server_version: '18.4' };
      },
      query: (sql, session) => {
        if (sql === 'bad') throw new PostgresServerError('42601', 'no such command');
        session.sendResult(
          [
            { name: 'a', type: TypeOid.text },
            { name: 'b', type: TypeOid.int4 },
          ],
          [
            ['ä', null],
            ['', '7'],
          ],
          'SELECT 2',
        );
      },
    });
    const connection = await client(port, { user: 'me', replication: 'true' });
    expect(started).toEqual([
      ['user', 'me'],
      ['replication', 'true'],
    ]);
    await expect(connection.query('bad')).rejects.toMatchObject({ sqlState: '42601', message: 'no such command' });
    expect(await connection.query('good')).toEqual({
      columns: ['a', 'b'],
      rows: [
        ['ä', null],
        ['', '7'],
      ],
    });
    connection.close();
    expect(await connection.closed).toBeUndefined();
  });

  test('a server that refuses at startup says why', async () => {
    const port = await serve({
      ...silent,
      startup: () => {
        throw new PostgresServerError('3D000', 'unknown timeline');
      },
    });
    await expect(client(port)).rejects.toMatchObject({ sqlState: '3D000', message: 'unknown timeline' });
  });

  test('what comes along with a password stays in order with what comes while that is looked at', async () => {
    let letIn = (): void => undefined;
    let isAsked = (): void => undefined;
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    const queries: string[] = [];
    const port = await serve({
      ...silent,
      authenticate: () =>
        new Promise<void>((resolve) => {
          letIn = resolve;
          isAsked();
        }),
      query: (sql) => void queries.push(sql),
    });
    const socket = connect(port, '127.0.0.1');
    const closed = once(socket, 'close');
    socket.resume();
    const query = encodeMessage(MessageType.query, cString('one and another one'));
    const password = encodeMessage(MessageType.password, cString('p'));
    socket.write(encodeStartup(new Map([['user', 'u']])));
    await once(socket, 'data');
    socket.write(Buffer.concat([password, query.subarray(0, 12)]));
    await asked;
    socket.write(query.subarray(12));
    letIn();
    await once(socket, 'data');
    socket.end(encodeMessage(MessageType.terminate));
    await closed;
    expect(queries).toEqual(['one and another one']);
  });

  test('a session that was ended is handed nothing more, not even what had come already', async () => {
    const seen: string[] = [];
    let port = await serve({
      ...silent,
      query: (sql, session) => {
        seen.push(sql);
        session.startCopyBoth((bytes, _view, offset, length) => {
          seen.push(Buffer.from(bytes.subarray(offset, offset + length)).toString());
          session.fail(new PostgresServerError('57P01', 'enough'));
        });
      },
    });
    const startup = encodeStartup(new Map([['user', 'u']]));
    const query = encodeMessage(MessageType.query, cString('copy'));
    const copied = ['a', 'b', 'c'].map((text) => encodeMessage(MessageType.copyData, Buffer.from(text)));
    expect(await answersTo(port, startup, query, ...copied)).toContain('enough');
    expect(seen).toEqual(['copy', 'a']);

    seen.length = 0;
    port = await serve({
      ...silent,
      startup: (_parameters, session) => {
        session.fail(new PostgresServerError('57P01', 'not now'));
        return {};
      },
      query: (sql) => void seen.push(sql),
    });
    expect(await answersTo(port, startup, query)).toContain('not now');
    expect(seen).toEqual([]);

    port = await serve({ ...silent, query: (sql) => void seen.push(sql) });
    await answersTo(port, startup, encodeMessage(MessageType.terminate), query);
    expect(seen).toEqual([]);
  });

  test('whatever is sent to a session that was ended, the reason comes through', async () => {
    const reasons: (Error | undefined)[] = [];
    let seen: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const port = await serve({
      ...silent,
      query: (_sql, session) => {
        const stream = session.startCopyBoth(() => undefined);
        // More than the system takes at once: the reason has to wait for it.
        stream.send(Buffer.alloc(32 << 20));
        session.fail(new PostgresServerError('57P01', 'enough'));
        expect(stream.send(Buffer.from('more'))).toBe(false);
        session.endCopy('COPY 0');
        session.sendResult([], [], 'OK');
      },
      closed: (_session, reason) => {
        reasons.push(reason);
        seen();
      },
    });
    const query = encodeMessage(MessageType.query, cString('copy'));
    expect(await answersTo(port, encodeStartup(new Map([['user', 'u']])), query)).toMatch(/enough\0\0$/);
    await closed;
    expect(reasons).toEqual([new PostgresServerError('57P01', 'enough')]);
  });

  test.each(['server', 'client'] as const)(
    'a %s that has much to read looks at everything else in between, and reads nothing while it is paused',
    async (reader) => {
      const TOTAL = 8 * 1024 * 1024;
      const received = { bytes: 0, inThisTurn: 0, mostInOneTurn: 0 };
      let isOver = false;
      const turn = (): void => {
        received.inThisTurn = 0;
        if (!isOver) setImmediate(turn);
      };
      const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
      const untilReceived = async (length: number): Promise<void> => {
        while (received.bytes < length) await nextTurn();
      };
      const take: CopyDataHandler = (_bytes, _view, _offset, length) => {
        received.bytes += length;
        received.inThisTurn += length;
        received.mostInOneTurn = Math.max(received.mostInOneTurn, received.inThisTurn);
      };
      const server: { stream?: CopyBothStream } = {};
      const port = await serve({
        ...silent,
        query: (_sql, session) => {
          server.stream = session.startCopyBoth(reader === 'server' ? take : () => undefined);
        },
      });
      const connection = await client(port, { user: 'u' }, true);
      const stream = await connection.copyBoth('GO', reader === 'client' ? take : () => undefined);
      const [from, to] = [reader === 'server' ? stream : server.stream, reader === 'server' ? server.stream : stream];
      // As much as the kernel takes is there at once when the reading begins, and what comes after it fast enough.
      to?.pause();
      for (let sent = 0; sent < TOTAL; sent += 65_536) from?.send(Buffer.alloc(65_536));
      let unsent = Number.POSITIVE_INFINITY;
      while ((from?.unsentBytes ?? 0) < unsent) {
        unsent = from?.unsentBytes ?? 0;
        await nextTurn();
      }
      turn();
      expect(received.bytes).toBe(0);
      to?.resume();
      await untilReceived(TOTAL / 2);
      to?.pause();
      const then = received.bytes;
      for (let i = 0; i < 20; i++) await nextTurn();
      expect(received.bytes).toBe(then);
      to?.resume();
      await untilReceived(TOTAL);
      isOver = true;
      expect(received.mostInOneTurn).toBeLessThanOrEqual(1024 * 1024);
      connection.destroy();
    },
  );

  test('a client that reads nothing does not keep a session that was ended', async () => {
    const closed = new Promise<Error | undefined>((resolve) => {
      const server = createServer(
        (socket) =>
          new PostgresSession(
            socket,
            {
              startup: () => ({}),
              query: (_sql, session) => {
                const stream = session.startCopyBoth(() => undefined);
                for (let i = 0; i < 256; i++) stream.send(Buffer.alloc(65_536));
                session.fail(new Error('it is over'));
              },
              closed: (_session, reason) => resolve(reason),
            },
            { messageLengthMax: 1 << 20, startupTimeoutMs: 5_000, lingerMs: 20 },
          ),
      );
      servers.push(server);
      server.listen(0, '127.0.0.1', () => {
        const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
        socket.pause();
        socket.on('error', () => undefined); // the rest of what it never reads is dropped
        socket.write(
          Buffer.concat([encodeStartup(new Map([['user', 'u']])), encodeMessage(MessageType.query, cString('GO'))]),
        );
      });
    });
    expect((await closed)?.message).toBe('it is over');
  });

  test.each([false, true])('copy both ways, and flow control stops the sender (kept buffer: %s)', async (kept) => {
    const received: number[] = [];
    const port = await serve({
      ...silent,
      query: (_sql, session) => {
        const stream: CopyBothStream = session.startCopyBoth((bytes, _view, offset, length) => {
          stream.send(Buffer.from(bytes.subarray(offset, offset + length)), Buffer.from('!'));
        });
      },
    });
    const connection = await client(port, undefined, kept);
    let done: () => void = () => undefined;
    const allHere = new Promise<void>((resolve) => {
      done = resolve;
    });
    const stream = await connection.copyBoth('go', (_bytes, view, offset, length) => {
      expect(view.getUint8(offset + length - 1)).toBe(33);
      received.push(length);
      if (received.length === 3) done();
    });
    stream.pause();
    for (const size of [1, 2_000, 300_000]) stream.send(Buffer.alloc(size));
    await new Promise((resolve) => setImmediate(resolve));
    expect(received).toEqual([]);
    stream.resume();
    await allHere;
    expect(received).toEqual([2, 2_001, 300_001]);
    connection.close();
    await connection.closed;
  });

  test.each([false, true])(
    'data that comes together with the answer reaches the handler when the caller has the stream (kept buffer: %s)',
    async (kept) => {
      const port = await serve({
        ...silent,
        query: (_sql, session) => {
          const stream = session.startCopyBoth(() => undefined);
          for (let i = 0; i < 10; i++) stream.send(Buffer.of(i));
        },
      });
      const connection = await client(port, undefined, kept);
      const seen: number[] = [];
      let done: () => void = () => undefined;
      const all = new Promise<void>((resolve) => {
        done = resolve;
      });
      let stream: CopyBothStream | undefined;
      const copy = connection.copyBoth('go', (bytes, _view, offset) => {
        expect(stream).toBeDefined();
        seen.push(bytes[offset] ?? -1);
        if (seen.length === 10) done();
      });
      stream = await copy;
      await all;
      expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      connection.close();
      expect(await connection.closed).toBeUndefined();
    },
  );

  test.each([
    ['CommandComplete, then a reset because a status update was not read any more, is an end in order', true],
    ['a reset in the middle of a copy is a lost connection', false],
  ])('%s', async (_sentence, complete) => {
    let exit: () => void = () => undefined;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      exit = () => socket.destroy();
      socket.once('data', () => {
        socket.write(Buffer.concat([encodeMessage(MessageType.authentication, Buffer.alloc(4)), readyForQuery]));
        socket.once('data', () => {
          socket.pause();
          const ending = complete ? [encodeMessage(MessageType.commandComplete, cString('COPY 0'))] : [];
          socket.write(Buffer.concat([encodeMessage(MessageType.copyBothResponse, Buffer.alloc(3)), ...ending]));
        });
      });
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connection = await client((server.address() as AddressInfo).port);
    const stream = await connection.copyBoth('go', () => undefined);
    stream.send(Buffer.alloc(4 << 20)); // more than the server takes while it is paused: some of it is unread when it exits
    await new Promise((resolve) => setImmediate(resolve));
    exit();
    const reason = await connection.closed;
    if (complete) expect(reason).toBeUndefined();
    else expect(reason?.message).toMatch(/ECONNRESET|EPIPE/);
  });

  test('a stream that is paused by what comes when it goes on reads nothing more', () => {
    const socket = new Socket();
    const handed: number[] = [];
    const framer = new MessageFramer(100, (type) => {
      handed.push(type);
      stream.pause();
    });
    const stream = new CopyBothStream(socket, framer);
    stream.pause();
    framer.push(Buffer.concat([encodeMessage(65), encodeMessage(66)]));
    stream.resume();
    expect(handed).toEqual([65]);
    expect(socket.isPaused()).toBe(true);
    stream.resume();
    expect(handed).toEqual([65, 66]);
    expect(socket.isPaused()).toBe(true);
    stream.resume();
    expect(socket.isPaused()).toBe(false);
    socket.destroy();
  });

  test.each([
    [
      'with an error after which it waits for the next command',
      [encodeError('ERROR', '57014', 'canceled')],
      'canceled',
    ],
    [
      'in order',
      [MessageType.copyDone, MessageType.commandComplete].map((type) => encodeMessage(type, cString(''))),
      undefined,
    ],
  ])('a copy that the server ends %s ends the connection', async (_how, ending, reason) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write(Buffer.concat([encodeMessage(MessageType.authentication, Buffer.alloc(4)), readyForQuery]));
        socket.once('data', () => {
          socket.write(encodeMessage(MessageType.copyBothResponse, Buffer.alloc(3)));
          socket.once('data', () => socket.write(Buffer.concat([...ending, readyForQuery])));
        });
      });
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connection = await client((server.address() as AddressInfo).port);
    const stream = await connection.copyBoth('go', () => undefined);
    stream.send(Buffer.of(1));
    expect((await connection.closed)?.message).toBe(reason);
  });

  test('garbage closes that connection with a reason and nobody else is harmed', async () => {
    const reasons: (Error | undefined)[] = [];
    let seen: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => {
      seen = resolve;
    });
    const port = await serve({
      ...silent,
      query: (_sql, session) => session.sendResult([], [], 'OK'),
      closed: (_session, reason) => {
        reasons.push(reason);
        seen();
      },
    });
    const good = await client(port);
    const bad = connect(port, '127.0.0.1');
    bad.on('error', () => undefined);
    bad.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    bad.resume();
    await closed;
    expect(String(reasons[0])).toMatch(/announced/);
    await good.query('still there');
    good.close();
    await good.closed;
  });
});

test('replication messages decode to what was encoded', () => {
  const scratch = walSenderMessage();
  const header = encodeXLogDataHeader(lsn(0x1_6000_0000), lsn(0x1_7000_0000), Date.now());
  const data = Buffer.concat([header, Buffer.from('wal')]);
  decodeWalSenderMessage(new DataView(data.buffer, data.byteOffset, data.length), 0, data.length, scratch);
  expect(scratch).toMatchObject({
    kind: 'xlog-data',
    startLsn: 0x1_6000_0000,
    serverLsn: 0x1_7000_0000,
    walOffset: 25,
    walLength: 3,
  });
  const keepalive = encodeKeepalive(lsn(77), true, Date.now());
  decodeWalSenderMessage(new DataView(keepalive.buffer), 0, keepalive.length, scratch);
  expect(scratch).toMatchObject({ kind: 'keepalive', serverLsn: 77, replyRequested: true });
  const status = { written: lsn(3), flushed: lsn(2), applied: lsn(0x2_0000_0001) };
  const update = encodeStatusUpdate(status, false, Date.now());
  expect(decodeStatusUpdate(new DataView(update.buffer), 0, update.length)).toEqual({
    ...status,
    replyRequested: false,
  });
  expect(() => decodeStatusUpdate(new DataView(update.buffer), 0, 10)).toThrow(/standby/);
});
