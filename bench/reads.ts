import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import { encodeClientHello, encodeGetPagesRequest } from '@zenith/wire';
import { crashedServer } from './redo/crashed-server.ts';
import { tpcb } from './redo/workloads.ts';
import { atLeast, medianOf, ratioAtMost, type Measurement } from './support/report.ts';

const [BLCKSZ, HEADER_BYTES, REQUEST_BYTES, BATCH] = [8192, 16, 48, 16];
const SECONDS = 2;

/** In so many parts of the WAL reads are timed; all of them count together. */
const MEASURED_PARTS = 3;

interface Ingested {
  readonly bytes: number;
  readonly deltaLayers: number;
  readonly imageLayers: number;
}

interface Served {
  readonly port: number;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
}

function start(program: string, args: readonly string[]): ChildProcess {
  return fork(new URL(`../packages/pageserver/bench/${program}`, import.meta.url), args, {
    execArgv: ['--conditions=source', '--import', 'tsx'],
  });
}

async function said<T>(child: ChildProcess): Promise<T> {
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`a server of the benchmark ended with code ${code}`);
    }),
  ])) as [T];
  return message;
}

/** Reads the first pages of pg_attribute from one connection, `inFlight` requests at a time, until `isOver`; how long each took. Unit: ms. */
async function read(served: Served, count: number, inFlight: number, isOver: () => boolean): Promise<number[]> {
  const socket = connect({ port: served.port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const request = new Uint8Array(REQUEST_BYTES);
  const asked = { id: 1, lsn: served.lsn, spc: 1663, db: 5, rel: 1249, fork: 0, block: 0, count };
  encodeGetPagesRequest(new DataView(request.buffer), 0, asked);
  const began: number[] = [];
  const times: number[] = [];
  const ask = (): void => {
    began.push(performance.now());
    socket.write(request);
  };
  socket.write(encodeClientHello(served));
  const answerBytes = HEADER_BYTES + count * BLCKSZ;
  let pending = HEADER_BYTES;
  let isGreeted = false;
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
    socket.on('data', (chunk) => {
      for (pending -= chunk.length; pending <= 0; pending += answerBytes) {
        if (!isGreeted) for (let i = 0; i < inFlight; i++) ask();
        else {
          times.push(performance.now() - (began.shift() as number));
          if (isOver()) return resolve();
          ask();
        }
        isGreeted = true;
      }
    });
  });
  socket.destroy();
  return times;
}

function forSeconds(): () => boolean {
  const end = performance.now() + SECONDS * 1000;
  return () => performance.now() >= end;
}

function quantile(times: readonly number[], part: number): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * part)] ?? Number.NaN;
}

/**
 * Pages of one client against a bare server in Node, both in processes of their own and over TCP: a hot page, batches of 16, and how steady a hot page stays while WAL is ingested, flushed and compacted in the same process.
 */
export async function benchReads(transactions: number, report: (measurement: Measurement) => void): Promise<void> {
  const crashed = await crashedServer(tpcb(transactions));
  // The import of the base reads its last checkpoint from there.
  cpSync(crashed.walDirectory, join(crashed.base, 'pg_wal'), { recursive: true });
  const servers: ChildProcess[] = [];
  const started = (program: string, ...args: string[]): ChildProcess => {
    const child = start(program, args);
    servers.push(child);
    return child;
  };
  try {
    const server = started('served.ts', crashed.base, crashed.walDirectory, String(1 + MEASURED_PARTS));
    const served = await said<Served>(server);
    const floors: Served[] = [];
    for (const count of [1, BATCH])
      floors.push({
        ...served,
        ...(await said<{ port: number }>(started('bare.ts', String(HEADER_BYTES + count * BLCKSZ)))),
      });
    const [one, batch] = floors as [Served, Served];
    for (const warm of [served, one]) await read(warm, 1, 1, forSeconds());
    const us = async (from: Served): Promise<number> => medianOf(await read(from, 1, 1, forSeconds())) * 1000;
    const [floor, ours] = [await us(one), await us(served)];
    report(ratioAtMost('a hot page against an 8 KiB echo', ours, floor, 1.5, 'µs'));
    const rate = async (from: Served): Promise<number> =>
      ((await read(from, BATCH, 4, forSeconds())).length * BATCH) / SECONDS / 1000;
    const [most, given] = [await rate(batch), await rate(served)];
    report(atLeast('batches of 16 pages against an echo of as many bytes', given, most, 0.7, 'k pages/s'));
    const readBeside = async (): Promise<{ times: number[] } & Ingested> => {
      let isDone = false;
      const ingested = said<Ingested>(server).finally(() => (isDone = true));
      server.send('ingest');
      return { times: await read(served, 1, 1, () => isDone), ...(await ingested) };
    };
    // The first part warms up what ingests, flushes and compacts.
    await readBeside();
    const parts = [];
    while (parts.length < MEASURED_PARTS) parts.push(await readBeside());
    const ratio = ({ times }: { times: readonly number[] }): number => quantile(times, 0.99) / quantile(times, 0.5);
    const all = parts.flatMap(({ times }) => times);
    const [p50, p99] = [quantile(all, 0.5) * 1000, quantile(all, 0.99) * 1000];
    report(ratioAtMost('p99 against p50 of a hot page, during ingest', p99, p50, 5, 'µs'));
    for (const one of parts)
      console.log(
        `      ${ratio(one).toFixed(1)}× in ${one.times.length} reads while ${(one.bytes / 1e6).toFixed(0)} MB of WAL were ingested: ${one.deltaLayers} delta and ${one.imageLayers} image layers then; worst ${Math.max(...one.times.slice(-1e5)).toFixed(0)} ms`,
      );
  } finally {
    for (const child of servers) if (child.connected) child.send('stop');
    await Promise.all(servers.filter(({ exitCode }) => exitCode === null).map((child) => once(child, 'exit')));
    await crashed.remove();
  }
}
