/**
 * How soon a pageserver with many timelines and layers serves, without remote storage and with all of it in a folder as remote storage, as a ratio to one that has none: a start reads indexes, nothing of the layers.
 * Part of npm run bench:scale; alone: node --conditions=source --import tsx bench/restart.ts [--timelines 1000] [--layers 100000]
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crc32c, lsn, newTenantId, newTimelineId, type TenantId, type TimelineId } from '@zenith/base';
import { TimelineStore } from '@zenith/pageserver';
import { BLCKSZ } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { atMost, medianOf, print } from './support/report.ts';

const PAGESERVER = fileURLToPath(new URL('../packages/pageserver/dist/main.js', import.meta.url));

/** What a start may take. Unit: ms. */
const READY_MS_MAX = 2_000;

/** Starts of each kind. */
const RUNS = 5;

const { values } = parseArgs({
  options: {
    timelines: { type: 'string', default: '1000' },
    layers: { type: 'string', default: '100000' },
  },
});

/** A relation and its size, as ingest names them. */
const [RELATION, SIZE, IMAGE] = [0, 1, 0] as const;

/** Makes a timeline with so many pages, a delta and an image layer for each. */
async function makeTemplate(directory: string, tenant: TenantId, pages: number): Promise<TimelineId> {
  const timeline = newTimelineId();
  const store = TimelineStore.open(directory, { options: { layerBytesTarget: 1, compactInBackground: false } });
  const made = await store.create({ tenant, timeline, pgMajor: 18, initialLsn: lsn(0x1000) });
  const object = made.intern(RELATION, 1663, 5, 16384, 0);
  const size = made.intern(SIZE, 1663, 5, 16384, 0);
  const page = new Uint8Array(BLCKSZ);
  for (let block = 0; block < pages; block++) {
    const at = lsn(0x2000 + block * 8);
    made.put(object, block, at, IMAGE, page, 0, BLCKSZ);
    made.put(size, 0, at, IMAGE, new Uint8Array(Uint32Array.of(block + 1).buffer), 0, 4);
    made.advance(at);
  }
  await made.flush();
  await made.compact();
  await store.close();
  return timeline;
}

/** Gives a timeline's layers and index to so many others: a layer is the same file, whose it is does not stand in it. */
function multiply(directory: string, tenant: TenantId, template: TimelineId, count: number): number {
  const timelines = join(directory, 'tenants', tenant, 'timelines');
  const from = join(timelines, template);
  const names = readdirSync(join(from, 'layers'));
  const { body } = JSON.parse(readFileSync(join(from, 'index.json'), 'utf8')) as { body: object };
  for (let i = 1; i < count; i++) {
    const timeline = newTimelineId();
    const to = join(timelines, timeline);
    mkdirSync(join(to, 'layers'), { recursive: true });
    for (const name of names) linkSync(join(from, 'layers', name), join(to, 'layers', name));
    writeFileSync(join(to, 'index.json'), checked({ ...body, timeline }));
  }
  return names.length * count;
}

/** JSON with its checksum, as indexes are. */
function checked(body: object): string {
  const text = JSON.stringify(body);
  return `{"crc32c":${crc32c(new TextEncoder().encode(text))},"body":${text}}\n`;
}

/** Puts everything of the tenant into a folder as remote storage has it, written by a first generation of this data directory. */
function upload(directory: string, tenant: TenantId, objects: string): void {
  const timelines = join(directory, 'tenants', tenant, 'timelines');
  const writer = randomUUID();
  writeFileSync(join(directory, 'identity'), `${writer}\n`);
  for (const timeline of readdirSync(timelines)) {
    const from = join(timelines, timeline);
    const index = readFileSync(join(from, 'index.json'), 'utf8');
    const { body } = JSON.parse(index) as { body: { layers: readonly { fileName: string; crc32c: number }[] } };
    const [layers, indexes, claims] = ['layers', 'indexes', 'claims'].map((kind) =>
      join(objects, kind, tenant, timeline),
    ) as [string, string, string];
    for (const folder of [layers, indexes, claims]) mkdirSync(folder, { recursive: true });
    for (const { fileName } of body.layers)
      linkSync(join(from, 'layers', fileName), join(layers, `${fileName}-00000001`));
    writeFileSync(join(claims, '00000001'), `${JSON.stringify({ writer })}\n`);
    writeFileSync(
      join(indexes, '00000001-00000000'),
      checked({
        format: 1,
        writer,
        generation: 1,
        sequence: 0,
        index,
        layers: Object.fromEntries(
          body.layers.map((layer) => [layer.fileName, { generation: 1, crc32c: layer.crc32c }]),
        ),
      }),
    );
  }
}

/** Writes the configuration of a pageserver. */
function configure(
  directory: string,
  remoteStorage?: { readonly location: string; readonly generation: number },
): void {
  const address = { host: '127.0.0.1', port: 0 };
  writeFileSync(
    join(directory, 'pageserver.json'),
    JSON.stringify({ listen: address, http: address, ...(remoteStorage === undefined ? {} : { remoteStorage }) }),
  );
}

interface Start {
  readonly readyMs: number;
  readonly firstPageMs: number;
}

/** Starts a pageserver and, when it serves, reads a page of a timeline; then ends it. */
async function start(directory: string, page: string | undefined): Promise<Start> {
  const began = performance.now();
  const child = spawn(process.execPath, [PAGESERVER, 'serve', '--data-dir', directory], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const { http } = await ready(child);
    const readyMs = performance.now() - began;
    if (page !== undefined) {
      const response = await fetch(`http://127.0.0.1:${http.port}${page}`);
      if (response.status !== 200) throw new Error(await response.text());
    }
    return { readyMs, firstPageMs: performance.now() - began };
  } finally {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
}

function ready(child: ChildProcess): Promise<{ readonly http: { readonly port: number } }> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the pageserver ended with ${code}`)));
    child.once('message', (message: { ready: boolean; error?: string; http: { port: number } }) => {
      if (message.ready) resolve(message);
      else reject(new Error(message.error));
    });
  });
}

const directory = temporaryDirectory('zenith-restart-');
try {
  const tenant = newTenantId();
  const [count, layers] = [Number(values.timelines), Number(values.layers)];
  const [empty, full] = ['empty', 'full'].map((name) => join(directory.path, name)) as [string, string];
  for (const folder of [empty, full]) {
    mkdirSync(folder);
    configure(folder);
  }
  const template = await makeTemplate(full, tenant, Math.round(layers / count / 2));
  const total = multiply(full, tenant, template, count);
  const page = `/v1/tenant/${tenant}/timeline/${template}/page?spc=1663&db=5&rel=16384&fork=0&block=7`;
  const median = (of: readonly Start[], what: keyof Start): number => medianOf(of.map((one) => one[what]));
  const objects = join(directory.path, 'objects');
  for (const withRemote of [false, true]) {
    if (withRemote) upload(full, tenant, objects);
    const [floors, starts]: [Start[], Start[]] = [[], []];
    for (let run = 0; run < RUNS; run++) {
      floors.push(await start(empty, undefined));
      // Each start of a pageserver has a generation of its own.
      if (withRemote) configure(full, { location: objects, generation: 2 + run });
      starts.push(await start(full, page));
    }
    print(
      atMost(
        `with ${count} timelines, ${total} layers, ${withRemote ? 'all in' : 'no'} remote storage: serves`,
        starts.map(({ readyMs }) => readyMs),
        READY_MS_MAX,
      ),
    );
    const [floor, ready] = [median(floors, 'readyMs'), median(starts, 'readyMs')];
    console.log(
      `      a first page after ${median(starts, 'firstPageMs').toFixed(0)} ms; with no timeline it serves after ${floor.toFixed(0)} ms (ratio ${(ready / floor).toFixed(2)})`,
    );
  }
} finally {
  directory.remove();
}
