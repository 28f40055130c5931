/**
 * Pages over the page protocol, against a bare TCP server that answers as many bytes without looking anything up, in the same run: single pages and batches of 16, one connection, 16 requests in flight.
 * Run: node --conditions=source --import tsx packages/pageserver/bench/page-service.bench.ts
 */
import { connect, createServer, type AddressInfo } from 'node:net';
import { lsn, newTenantId, newTimelineId } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { encodeClientHello, encodeGetPagesRequest } from '@zenith/wire';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { ObjectKind } from '../src/key-space/object.ts';
import { pageServiceMetrics } from '../src/page-service/metrics.ts';
import { PageService } from '../src/page-service/page-service.ts';
import { ResponseBufferPool } from '../src/page-service/response-buffer.ts';
import { storePageSource } from '../src/page-service/store-source.ts';
import { TimelineStore } from '../src/timeline/timeline-store.ts';

const BLOCKS = 8192;
const IN_FLIGHT = 16;
const SECONDS = 3;
const HELLO_BYTES = 64,
  REQUEST_BYTES = 48,
  HEADER_BYTES = 16;
const AT = lsn(0x100_0000);
const tenant = newTenantId();
const timeline = newTimelineId();

/** Requests answered per second. */
async function measure(port: number, count: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve) => socket.once('connect', resolve));
  const request = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(request.buffer);
  let block = 0;
  const ask = (): void => {
    encodeGetPagesRequest(view, 0, { id: 1, lsn: AT, spc: 1663, db: 5, rel: 1, fork: 0, block, count });
    block = (block + 37 * count) % (BLOCKS - count);
    socket.write(request.slice());
  };
  socket.write(encodeClientHello({ tenant, timeline }));
  const responseBytes = HEADER_BYTES + count * BLCKSZ;
  let pending = HEADER_BYTES;
  let answered = -1;
  const end = performance.now() + SECONDS * 1000;
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      for (pending -= chunk.length; pending <= 0; pending += responseBytes) {
        answered++;
        if (answered === 0) for (let i = 0; i < IN_FLIGHT; i++) ask();
        else if (performance.now() < end) ask();
        else return resolve();
      }
    });
  });
  socket.destroy();
  return answered / SECONDS;
}

const directory = temporaryDirectory('zenith-bench-');
const store = TimelineStore.open(directory.path);
const load = store.importTimeline({ tenant, timeline, pgMajor: 18, initialLsn: AT });
const page = new Uint8Array(BLCKSZ).fill(7);
for (let block = 0; block < BLOCKS; block++)
  load.writer.put(ObjectKind.relation, 1663, 5, 1, 0, block, page, 0, BLCKSZ);
load.writer.put(ObjectKind.relationSize, 1663, 5, 1, 0, 0, Uint8Array.of(BLOCKS & 0xff, BLOCKS >> 8, 0, 0), 0, 4);
await load.finish();
const service = new PageService({
  source: storePageSource(store),
  gate: undefined,
  log: pino({ level: 'silent' }),
  metrics: pageServiceMetrics(new Registry()),
  buffers: new ResponseBufferPool(),
  waitTimeoutMs: 1000,
  now: () => performance.now(),
});
const port = await service.listen({ host: '127.0.0.1', port: 0 });
for (const count of [1, 16]) {
  const answer = Buffer.alloc(HEADER_BYTES + count * BLCKSZ);
  const bare = createServer((socket) => {
    let received = -HELLO_BYTES;
    socket.setNoDelay(true).write(Buffer.alloc(HEADER_BYTES));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      for (received += chunk.length; received >= REQUEST_BYTES; received -= REQUEST_BYTES) socket.write(answer);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => bare.once('listening', resolve));
  const floor = await measure((bare.address() as AddressInfo).port, count);
  const served = await measure(port, count);
  bare.close();
  console.log(
    `${String(count).padStart(3)} pages a request: ${served.toFixed(0).padStart(7)} requests/s ${(served * count).toFixed(0).padStart(8)} pages/s, ${(served / floor).toFixed(2)}× a bare server`,
  );
}
await service.close();
await store.close();
directory.remove();
