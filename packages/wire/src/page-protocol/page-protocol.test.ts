import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { CorruptionError, lsn, newTenantId, newTimelineId } from '@zenith/base';
import { formatPageServerAddress, parsePageServerAddress } from './address.ts';
import { PageError } from './errors.ts';
import { decodeClientHello, encodeClientHello, encodeServerHello, type ClientHello } from './hello.ts';
import {
  CLIENT_HELLO_LENGTH,
  PAGE_LENGTH,
  PageStatus,
  REQUEST_LENGTH,
  RESPONSE_HEADER_LENGTH,
  SERVER_HELLO_LENGTH,
} from './layout.ts';
import { PageClient, REQUESTS_IN_FLIGHT_MAX } from './page-client.ts';
import { decodeGetPagesRequest, newGetPagesRequest, type GetPagesRequest } from './request.ts';
import { encodeFailure, encodePagesHeader } from './response.ts';

const HELLO = { tenant: newTenantId(), timeline: newTimelineId() };
const TABLE = { spc: 1663, db: 5, rel: 16_384, fork: 0 };

describe('addresses', () => {
  it.each(['tcp:127.0.0.1:64000', 'tcp:[::1]:64000', 'unix:/run/zenith/page socket'])('reads and writes %s', (text) => {
    expect(formatPageServerAddress(parsePageServerAddress(text))).toBe(text);
  });

  it.each([
    '',
    'tcp:localhost:64000',
    'tcp:127.0.0.1',
    'tcp:127.0.0.1:0',
    'tcp:127.0.0.1:65536',
    'tcp:::1:64000',
    'tcp:[127.0.0.1]:1',
    'unix:relative',
    `unix:/${'x'.repeat(107)}`,
    'http://x',
  ])('refuses %s', (text) => {
    expect(() => parsePageServerAddress(text)).toThrow(expect.objectContaining({ code: 'invalid-address' }));
  });
});

describe('hellos', () => {
  it('has 64 bytes with everything in its place', () => {
    const bytes = encodeClientHello(HELLO);
    expect(Buffer.from(bytes).toString('hex')).toBe(
      `5a50473101000000${HELLO.tenant}${HELLO.timeline}${'00'.repeat(24)}`,
    );
    expect(decodeClientHello(bytes, 'peer')).toEqual({ ...HELLO, tokenLength: 0 });
    const withToken = encodeClientHello(HELLO, 'a.b.c');
    expect(decodeClientHello(withToken.subarray(0, 64), 'peer')).toEqual({ ...HELLO, tokenLength: 5 });
    expect(Buffer.from(withToken.subarray(64)).toString()).toBe('a.b.c');
    for (const length of [0, 2049, 65_535]) {
      const announced = Buffer.from(withToken.subarray(0, 64));
      announced.writeUInt16LE(length, 6);
      expect(() => decodeClientHello(announced, 'peer')).toThrow(`a token of ${length} bytes`);
    }
  });

  it('refuses another magic, an unknown version by its number, reserved bytes and another length', () => {
    const changed = (offset: number): Uint8Array => {
      const bytes = encodeClientHello(HELLO);
      bytes[offset] = 9;
      return bytes;
    };
    expect(() => decodeClientHello(changed(0), 'peer')).toThrow(CorruptionError);
    expect(() => decodeClientHello(changed(4), 'peer')).toThrow('version 9');
    expect(() => decodeClientHello(changed(6), 'peer')).toThrow('reserved');
    expect(() => decodeClientHello(changed(63), 'peer')).toThrow('reserved');
    expect(() => decodeClientHello(new Uint8Array(10), 'peer')).toThrow(CorruptionError);
  });

  it('cuts a long message at a character boundary', () => {
    const bytes = encodeServerHello(PageStatus.noSuchTimeline, 'ä'.repeat(600));
    expect(bytes.length).toBe(SERVER_HELLO_LENGTH + 1024);
    const odd = encodeServerHello(PageStatus.noSuchTimeline, `x${'ä'.repeat(600)}`);
    expect(odd.length).toBe(SERVER_HELLO_LENGTH + 1023);
  });
});

describe('requests', () => {
  it.each([
    ['type', 0, 2],
    ['count 0', 36, 0],
    ['count 129', 36, 129],
    ['fork', 28, 4],
    ['reserved bytes', 44, 1],
    ['an LSN beyond 2^53', 12, 0x20_0000],
    ['blocks beyond the last', 32, 0xffff_ffff],
  ])('are refused for a wrong %s', (_name, offset, value) => {
    const view = new DataView(new ArrayBuffer(REQUEST_LENGTH));
    view.setUint32(0, 1, true);
    view.setUint32(36, 1, true);
    const request = newGetPagesRequest();
    decodeGetPagesRequest(view, 0, request);
    expect(request.count).toBe(1);
    view.setUint32(offset, value, true);
    expect(() => decodeGetPagesRequest(view, 0, request)).toThrow(CorruptionError);
  });
});

/** Answers as `answer` says; `undefined` is silence. */
class Server {
  readonly hellos: ClientHello[] = [];
  readonly requests: GetPagesRequest[] = [];
  readonly sockets: Socket[] = [];
  #close: () => void = () => undefined;
  hello: Uint8Array | undefined = encodeServerHello(PageStatus.ok);
  answer: (request: GetPagesRequest) => Uint8Array | undefined = pagesOf;
  /** Answers are sent in pieces of that many bytes. */
  piece = Infinity;

  async listen(): Promise<number> {
    const server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on('error', () => undefined);
      let rest = Buffer.alloc(0);
      let greeted = false;
      socket.on('data', (chunk) => {
        rest = Buffer.concat([rest, chunk]);
        if (!greeted && rest.length >= CLIENT_HELLO_LENGTH) {
          this.hellos.push(decodeClientHello(rest.subarray(0, CLIENT_HELLO_LENGTH), 'client'));
          greeted = true;
          rest = rest.subarray(CLIENT_HELLO_LENGTH);
          if (this.hello !== undefined) socket.write(this.hello);
        }
        for (; rest.length >= REQUEST_LENGTH; rest = rest.subarray(REQUEST_LENGTH)) {
          const request = newGetPagesRequest();
          decodeGetPagesRequest(new DataView(rest.buffer, rest.byteOffset), 0, request);
          this.requests.push(request);
          const bytes = this.answer(request);
          if (bytes === undefined) continue;
          for (let at = 0; at < bytes.length; at += this.piece) socket.write(bytes.subarray(at, at + this.piece));
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#close = () => server.close();
    return (server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#close();
  }
}

function pagesOf(request: GetPagesRequest): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_HEADER_LENGTH + request.count * PAGE_LENGTH);
  encodePagesHeader(new DataView(bytes.buffer), 0, request.id, request.count);
  for (let i = 0; i < request.count; i++)
    bytes.fill(
      request.block + i,
      RESPONSE_HEADER_LENGTH + i * PAGE_LENGTH,
      RESPONSE_HEADER_LENGTH + (i + 1) * PAGE_LENGTH,
    );
  return bytes;
}

describe('PageClient', () => {
  let server: Server | undefined;
  let client: PageClient | undefined;
  afterEach(() => {
    client?.close();
    server?.close();
  });
  const start = async (change: (server: Server) => void = () => undefined, timeoutMs = 2000): Promise<PageClient> => {
    server = new Server();
    change(server);
    const port = await server.listen();
    client = await PageClient.connect({ ...HELLO, address: { kind: 'tcp', host: '127.0.0.1', port }, timeoutMs });
    return client;
  };

  it('reads pages, whatever pieces they come in', async () => {
    for (const piece of [Infinity, 8192, 1000, 7]) {
      const connected = await start((it) => (it.piece = piece));
      const pages = await connected.getPages(TABLE, 40, 3, lsn(0x1_0000_0018));
      expect([pages.length, pages[0], pages[8191], pages[8192], pages[24_575]]).toEqual([24_576, 40, 40, 41, 42]);
      expect(server?.hellos).toEqual([{ ...HELLO, tokenLength: 0 }]);
      expect(server?.requests).toEqual([{ ...TABLE, id: 1, lsn: 0x1_0000_0018, block: 40, count: 3 }]);
      connected.close();
      server?.close();
    }
  });

  it('pipelines requests and keeps their order', async () => {
    const connected = await start();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, block) => connected.getPages(TABLE, block, 1, lsn(1))),
    );
    expect(answers.map((pages) => pages[5])).toEqual(Array.from({ length: 100 }, (_, block) => block));
  });

  it('reports a failure of one request and answers the next', async () => {
    const connected = await start((it) => {
      it.answer = (request) =>
        request.block === 3 ? encodeFailure(request.id, PageStatus.pageNotRebuilt, 'no\nrmgr') : pagesOf(request);
    });
    const [bad, good] = await Promise.allSettled([
      connected.getPages(TABLE, 3, 1, lsn(1)),
      connected.getPages(TABLE, 4, 1, lsn(1)),
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'page-not-rebuilt', message: 'no rmgr' } });
    expect(good.status).toBe('fulfilled');
  });

  it('is refused with the reason of the server', async () => {
    await expect(
      start((it) => (it.hello = encodeServerHello(PageStatus.noSuchTimeline, 'unknown here'))),
    ).rejects.toMatchObject({
      code: 'no-such-timeline',
      message: 'unknown here',
    });
  });

  it('gives up on a request in time and goes on with the connection', async () => {
    const late: Uint8Array[] = [];
    const connected = await start((it) => {
      it.answer = (request) => {
        if (request.block === 1) late.push(pagesOf(request));
        return request.block === 1 ? undefined : pagesOf(request);
      };
    }, 100);
    await expect(connected.getPages(TABLE, 1, 1, lsn(1))).rejects.toMatchObject({ code: 'deadline-exceeded' });
    server?.sockets[0]?.write(late[0] ?? new Uint8Array());
    expect((await connected.getPages(TABLE, 2, 1, lsn(1)))[0]).toBe(2);
  });

  it('gives up on a server that does not answer the hello, and on one that is not there', async () => {
    await expect(start((it) => (it.hello = undefined), 100)).rejects.toMatchObject({ code: 'deadline-exceeded' });
    await expect(
      PageClient.connect({ ...HELLO, address: { kind: 'unix', path: '/nonexistent/socket' }, timeoutMs: 1000 }),
    ).rejects.toMatchObject({ code: 'connection-lost' });
  });

  it('fails what is in flight, and all later calls, when the connection is lost', async () => {
    const connected = await start((it) => (it.answer = () => undefined));
    const pending = connected.getPages(TABLE, 1, 1, lsn(1));
    setTimeout(() => server?.sockets[0]?.destroy(), 20);
    await expect(pending).rejects.toMatchObject({ code: 'connection-lost' });
    await expect(connected.getPages(TABLE, 1, 1, lsn(1))).rejects.toBeInstanceOf(PageError);
  });

  it.each([
    ['the magic', () => undefined, Buffer.alloc(16, 7)],
    ['a hello message beyond its bound', () => undefined, Buffer.from('5a504731020000000104000000000000', 'hex')],
    ['the id', (request: GetPagesRequest) => encodeFailure(request.id + 1, PageStatus.badRequest, ''), undefined],
    ['an unknown status', (request: GetPagesRequest) => encodeFailure(request.id, 99, ''), undefined],
    ['the count', (request: GetPagesRequest) => pagesOf({ ...request, count: 2 }), undefined],
    ['a length without bound', () => Buffer.from('010000000000000001000000ffffff7f', 'hex'), undefined],
  ])('closes the connection when the server breaks the protocol: %s', async (_name, answer, hello) => {
    const run = async (): Promise<void> => {
      const connected = await start((it) => {
        it.answer = answer;
        if (hello !== undefined) it.hello = hello;
      });
      await connected.getPages(TABLE, 1, 1, lsn(1));
    };
    await expect(run()).rejects.toBeInstanceOf(CorruptionError);
  });

  it('bounds the requests in flight', async () => {
    const connected = await start((it) => (it.answer = () => undefined), 60_000);
    const pending = Array.from({ length: REQUESTS_IN_FLIGHT_MAX }, () => connected.getPages(TABLE, 1, 1, lsn(1)));
    await expect(connected.getPages(TABLE, 1, 1, lsn(1))).rejects.toMatchObject({ code: 'too-many-requests' });
    connected.close();
    for (const result of await Promise.allSettled(pending)) expect(result.status).toBe('rejected');
  });
});
