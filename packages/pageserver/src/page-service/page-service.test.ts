import { connect, type Socket } from 'node:net';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gate, keyFileName, mintToken, newKey, type Identity } from '@zenith/auth';
import { lsn, newTenantId, newTimelineId, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { PageClient, encodeClientHello, encodeGetPagesRequest, newGetPagesRequest } from '@zenith/wire';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { pageServiceMetrics, type PageServiceMetrics } from './metrics.ts';
import { PageService } from './page-service.ts';
import { ResponseBufferPool } from './response-buffer.ts';
import { storePageSource } from './store-source.ts';

const START = lsn(0x1000000);
const relation = { spc: 1663, db: 5, rel: 16384, fork: 0 };
const BLOCKS = 300;

let directory: ReturnType<typeof temporaryDirectory>;
let store: TimelineStore;
let timeline: Timeline;
let service: PageService;
let metrics: PageServiceMetrics;
let port: number;
const sockets: Socket[] = [];

function putPages(at: Lsn, fill: number): void {
  const object = timeline.intern(ObjectKind.relation, relation.spc, relation.db, relation.rel, relation.fork);
  const size = timeline.intern(ObjectKind.relationSize, relation.spc, relation.db, relation.rel, relation.fork);
  const page = new Uint8Array(BLCKSZ);
  for (let block = 0; block < BLOCKS; block++) {
    page.fill((block + fill) & 0xff);
    timeline.put(object, block, at, ValueKind.image, page, 0, BLCKSZ);
  }
  timeline.put(size, 0, at, ValueKind.image, Uint8Array.of(BLOCKS & 0xff, BLOCKS >> 8, 0, 0), 0, 4);
  timeline.advance(at);
}

async function client(of = timeline): Promise<PageClient> {
  return PageClient.connect({
    address: { kind: 'tcp', host: '127.0.0.1', port },
    tenant: of.tenant,
    timeline: of.timeline,
    timeoutMs: 5000,
  });
}

function raw(): Socket {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => undefined);
  return socket;
}

function closed(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

function requestBytes(count: number, at: Lsn): Uint8Array {
  const bytes = new Uint8Array(48);
  encodeGetPagesRequest(new DataView(bytes.buffer), 0, {
    ...newGetPagesRequest(),
    ...relation,
    id: 7,
    lsn: at,
    block: 0,
    count,
  });
  return bytes;
}

beforeEach(async () => {
  directory = temporaryDirectory();
  store = TimelineStore.open(directory.path);
  timeline = await store.create({ tenant: newTenantId(), timeline: newTimelineId(), pgMajor: 18, initialLsn: START });
  putPages(lsn(START + 8), 0);
  metrics = pageServiceMetrics(new Registry());
  service = new PageService({
    source: storePageSource(store),
    gate: undefined,
    log: pino({ level: 'silent' }),
    metrics,
    buffers: new ResponseBufferPool(),
    waitTimeoutMs: 300,
    now: () => performance.now(),
  });
  port = await service.listen({ host: '127.0.0.1', port: 0 });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await service.close();
  await store.close();
  directory.remove();
});

describe('page service', () => {
  it('gives single pages and batches, in the order they were asked for', async () => {
    const pages = await client();
    const counts = [1, 128, 1, 16];
    const answers = await Promise.all(
      counts.map((count, i) => pages.getPages({ ...relation }, i * 10, count, lsn(START + 8))),
    );
    answers.forEach((bytes, i) => {
      expect(bytes.length).toBe((counts[i] ?? 0) * BLCKSZ);
      for (let page = 0; page < bytes.length / BLCKSZ; page++) {
        expect(bytes[page * BLCKSZ]).toBe((i * 10 + page) & 0xff);
        expect(bytes[page * BLCKSZ + BLCKSZ - 1]).toBe((i * 10 + page) & 0xff);
      }
    });
    pages.close();
  });

  it('gives the page of each LSN', async () => {
    putPages(lsn(START + 16), 100);
    const pages = await client();
    expect((await pages.getPages(relation, 1, 1, lsn(START + 8)))[0]).toBe(1);
    expect((await pages.getPages(relation, 1, 1, lsn(START + 16)))[0]).toBe(101);
    pages.close();
  });

  it('lets in who reads a branch whose ancestor is behind it, as after a restart, and answers once that has caught up', async () => {
    const point = lsn(START + 64);
    const branch = await store.createBranch(timeline.tenant, newTimelineId(), timeline.timeline, point);
    const pages = await client(branch);
    await expect(pages.getPages(relation, 3, 1, point)).rejects.toThrow(
      'WAL up to 0/1000040 of the timeline it was branched from',
    );
    const ofBranch = await client(await store.createBranch(timeline.tenant, newTimelineId(), branch.timeline, point));
    await expect(ofBranch.getPages(relation, 3, 1, point)).rejects.toThrow(
      `branched from, ${timeline.timeline}, has not`,
    );
    ofBranch.close();
    expect((await pages.getPages(relation, 3, 1, lsn(START + 8)))[0]).toBe(3);
    const late = pages.getPages(relation, 3, 1, point);
    putPages(point, 50);
    expect((await late)[0]).toBe(53);
    pages.close();
  });

  it('waits for an LSN that is not there yet, and answers what was asked after it in order', async () => {
    const pages = await client();
    const late = pages.getPages(relation, 3, 1, lsn(START + 64));
    const early = pages.getPages(relation, 4, 1, lsn(START + 8));
    putPages(lsn(START + 64), 50);
    expect((await late)[0]).toBe(53);
    expect((await early)[0]).toBe(4);
    pages.close();
  });

  it('refuses an LSN that does not come in time, and goes on', async () => {
    const pages = await client();
    await expect(pages.getPages(relation, 0, 1, lsn(START + 1000))).rejects.toMatchObject({
      code: 'lsn-not-available',
    });
    expect((await pages.getPages(relation, 9, 1, lsn(START + 8)))[0]).toBe(9);
    pages.close();
  });

  it('refuses blocks and relations that do not exist, one by one', async () => {
    const pages = await client();
    await expect(pages.getPages(relation, BLOCKS - 1, 2, lsn(START + 8))).rejects.toMatchObject({
      code: 'no-such-block',
    });
    await expect(pages.getPages({ ...relation, rel: 1 }, 0, 1, lsn(START + 8))).rejects.toMatchObject({
      code: 'no-such-block',
    });
    await expect(pages.getPages({ ...relation, fork: 1 }, 0, 1, lsn(START + 8))).rejects.toMatchObject({
      code: 'no-such-block',
    });
    expect((await pages.getPages(relation, BLOCKS - 1, 1, lsn(START + 8)))[0]).toBe((BLOCKS - 1) & 0xff);
    pages.close();
  });

  it('answers a page that cannot be rebuilt with an error on that page only', async () => {
    const object = timeline.intern(ObjectKind.relation, relation.spc, relation.db, relation.rel, relation.fork);
    timeline.put(object, 5, lsn(START + 24), ValueKind.record, new Uint8Array(40), 0, 40);
    timeline.advance(lsn(START + 24));
    const pages = await client();
    await expect(pages.getPages(relation, 5, 1, lsn(START + 24))).rejects.toMatchObject({ code: 'page-not-rebuilt' });
    expect((await pages.getPages(relation, 6, 1, lsn(START + 24)))[0]).toBe(6);
    pages.close();
  });

  it('refuses a timeline it does not have', async () => {
    const stranger = PageClient.connect({
      address: { kind: 'tcp', host: '127.0.0.1', port },
      tenant: timeline.tenant,
      timeline: newTimelineId(),
      timeoutMs: 5000,
    });
    await expect(stranger).rejects.toMatchObject({ code: 'no-such-timeline' });
  });

  it('closes a connection that says something else than hello, and no other', async () => {
    const pages = await client();
    const socket = raw();
    const end = closed(socket);
    socket.write(Buffer.alloc(64, 'GET / HTTP/1.1\r\n'));
    expect((await end).length).toBe(0);
    expect((await metrics.refusals.get()).values[0]?.value).toBe(1);
    expect((await pages.getPages(relation, 1, 1, lsn(START + 8)))[0]).toBe(1);
    pages.close();
  });

  it('closes a connection that sends a bad request', async () => {
    const socket = raw();
    const end = closed(socket);
    const bad = requestBytes(1, lsn(START + 8));
    bad[0] = 99;
    socket.write(encodeClientHello({ tenant: timeline.tenant, timeline: timeline.timeline }));
    await new Promise((resolve) => socket.once('data', resolve));
    socket.write(bad);
    await end;
    expect((await metrics.refusals.get()).values[0]?.value).toBe(1);
  });

  it('takes a hello and requests that come byte by byte', async () => {
    const socket = raw();
    const received: Buffer[] = [];
    const whole = new Promise<Buffer>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        if (Buffer.concat(received).length >= 16 + 16 + BLCKSZ) resolve(Buffer.concat(received));
      });
    });
    for (const byte of Buffer.concat([
      encodeClientHello({ tenant: timeline.tenant, timeline: timeline.timeline }),
      requestBytes(1, lsn(START + 8)),
    ])) {
      await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
    }
    const bytes = await whole;
    expect(bytes.length).toBe(16 + 16 + BLCKSZ);
    expect(bytes.readUInt32LE(16)).toBe(7);
  });

  it('reads no more requests while the client does not take the answers', async () => {
    const socket = raw();
    socket.pause();
    socket.write(encodeClientHello({ tenant: timeline.tenant, timeline: timeline.timeline }));
    const asked = 400;
    for (let i = 0; i < asked; i++) socket.write(requestBytes(128, lsn(START + 8)));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const sent = (await metrics.pages.get()).values[0]?.value ?? 0;
    expect(sent).toBeGreaterThan(128);
    expect(sent).toBeLessThan((asked * 128) / 4); // what the kernel's buffers and the bound hold, not all of it
  });

  it('sends clients away when it is closed, also one that waits', async () => {
    const pages = await client();
    const waiting = pages.getPages(relation, 0, 1, lsn(START + 1000));
    const [outcome] = await Promise.allSettled([waiting, service.close()]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'connection-lost' } });
  });

  it('names an address that is taken', async () => {
    await expect(service.listen({ host: '127.0.0.1', port })).rejects.toThrow(/127\.0\.0\.1:\d+ is in use/);
  });

  it('speaks the protocol on a Unix socket too', async () => {
    const path = join(directory.path, 'pages.sock');
    await service.listenUnix(path);
    const pages = await PageClient.connect({
      address: { kind: 'unix', path },
      tenant: timeline.tenant,
      timeline: timeline.timeline,
      timeoutMs: 5000,
    });
    expect((await pages.getPages(relation, 2, 1, lsn(START + 8)))[0]).toBe(2);
    pages.close();
  });
});

describe('a page service that requires a token', () => {
  let guarded: PageService;
  let guardedPort: number;
  let keyFile: string;
  let mint: (identity: Identity, lifetimeSeconds?: number) => Promise<string>;

  beforeEach(async () => {
    const key = newKey();
    const privateFile = join(directory.path, 'private.pem');
    writeFileSync(privateFile, key.privatePem, { mode: 0o600 });
    writeFileSync(join(directory.path, keyFileName(key.id)), key.publicPem);
    keyFile = join(directory.path, keyFileName(key.id));
    mint = (identity, lifetimeSeconds) => mintToken(privateFile, identity, lifetimeSeconds);
    guarded = new PageService({
      source: storePageSource(store),
      gate: new Gate(directory.path, pino({ level: 'silent' })),
      log: pino({ level: 'silent' }),
      metrics,
      buffers: new ResponseBufferPool(),
      waitTimeoutMs: 300,
      now: () => performance.now(),
    });
    guardedPort = await guarded.listen({ host: '127.0.0.1', port: 0 });
  });
  afterEach(() => guarded.close());

  const read = async (token: string | undefined): Promise<number | undefined> => {
    const { tenant, timeline: id } = timeline;
    const address = { kind: 'tcp', host: '127.0.0.1', port: guardedPort } as const;
    const pages = await PageClient.connect({ address, tenant, timeline: id, token, timeoutMs: 5000 });
    try {
      return (await pages.getPages(relation, 3, 1, lsn(START + 8)))[0];
    } finally {
      pages.close();
    }
  };

  it('serves the compute of the timeline, and nobody without a token that is good for it', async () => {
    const { tenant, timeline: id } = timeline;
    expect(await read(await mint({ role: 'compute', tenant, timeline: id }))).toBe(3);
    const refused = [
      undefined,
      'nonsense',
      await mint({ role: 'compute', tenant, timeline: id }, -1),
      await mint({ role: 'reader', tenant, timeline: id }),
      await mint({ role: 'compute', tenant, timeline: newTimelineId() }),
      await mint({ role: 'compute', tenant: newTenantId(), timeline: id }),
    ];
    for (const token of refused) await expect(read(token)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('ends the connections of a key that is removed, and of no other', async () => {
    const { tenant, timeline: id } = timeline;
    const other = newKey();
    const otherFile = join(directory.path, 'other.pem');
    writeFileSync(otherFile, other.privatePem, { mode: 0o600 });
    writeFileSync(join(directory.path, keyFileName(other.id)), other.publicPem);
    const who = { role: 'compute', tenant, timeline: id } as const;
    const address = { kind: 'tcp', host: '127.0.0.1', port: guardedPort } as const;
    const connection = { address, tenant, timeline: id, timeoutMs: 5000 };
    const cut = await PageClient.connect({ ...connection, token: await mint(who) });
    const kept = await PageClient.connect({ ...connection, token: await mintToken(otherFile, who) });
    rmSync(keyFile);
    while (await cut.getPages(relation, 3, 1, lsn(START + 8)).then(Boolean, () => false)); // until it is cut off
    expect((await kept.getPages(relation, 3, 1, lsn(START + 8)))[0]).toBe(3);
    for (const pages of [cut, kept]) pages.close();
  });

  it('answers a request that came with the hello, in whatever pieces they arrive', async () => {
    const { tenant, timeline: id } = timeline;
    const token = await mint({ role: 'compute', tenant, timeline: id });
    const socket = connect(guardedPort, '127.0.0.1');
    sockets.push(socket);
    socket.setNoDelay(true);
    const bytes = Buffer.concat([encodeClientHello({ tenant, timeline: id }, token), requestBytes(1, lsn(START + 8))]);
    const answer = new Promise<Buffer>((resolve) => {
      let received = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        if (received.length >= 16 + 16 + BLCKSZ) resolve(received);
      });
    });
    for (let at = 0; at < bytes.length; at += 50)
      await new Promise<void>((resolve) => {
        socket.write(bytes.subarray(at, at + 50), () => resolve());
      });
    expect((await answer).readUInt32LE(4)).toBe(0);
  });
});
