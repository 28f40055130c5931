import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorruptionError, lsn, newTimelineId, type SystemId } from '@zenith/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Catalog } from './catalog.ts';
import { EmbeddedMetadataStore } from './embedded-store.ts';
import type { EndpointRecord, TimelineRecord } from './records.ts';

let folder: string;
let store: EmbeddedMetadataStore;
let catalog: Catalog;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zenith-catalog-'));
  EmbeddedMetadataStore.create(join(folder, 'metadata.json'));
  store = new EmbeddedMetadataStore(join(folder, 'metadata.json'), join(folder, 'locks'));
  catalog = new Catalog(store);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const timeline = (): TimelineRecord => ({
  id: newTimelineId(),
  pgMajor: 18,
  systemId: '7300000000000000001' as SystemId,
  ancestor: undefined,
  startLsn: lsn(0x1609610),
  createdAt: '2026-01-02T03:04:05.678Z',
});
const endpoint: EndpointRecord = {
  name: 'main',
  branch: 'main',
  port: 55432,
  httpPort: 56432,
  settings: { work_mem: '4MB' },
  createdAt: '2026-01-02T03:04:05.678Z',
};

test('a branch comes back with its timeline', async () => {
  const main = timeline();
  await catalog.addBranch('main', main);
  const child = { ...timeline(), ancestor: main.id };
  await catalog.addBranch('child', child);
  expect(await catalog.branch('child')).toEqual({
    name: 'child',
    timeline: child.id,
    createdAt: child.createdAt,
    isProtected: false,
  });
  expect(await catalog.timeline(child.id)).toEqual(child);
  expect((await catalog.branches()).map((branch) => branch.name)).toEqual(['child', 'main']);
});

test('a second branch of a name is refused and its timeline is not added', async () => {
  await catalog.addBranch('main', timeline());
  const second = timeline();
  await expect(catalog.addBranch('main', second)).rejects.toMatchObject({ code: 'branch-exists' });
  await expect(catalog.timeline(second.id)).rejects.toMatchObject({ code: 'no-such-timeline' });
});

test('what does not exist is said by name', async () => {
  await expect(catalog.branch('x')).rejects.toMatchObject({
    code: 'no-such-branch',
    message: "no branch 'x'; 'zenith branch' lists those there are",
  });
  expect(await catalog.endpoint('x')).toBeUndefined();
  await expect(catalog.updateEndpoint('x', (old) => old)).rejects.toMatchObject({ code: 'no-such-endpoint' });
});

test('an endpoint is added once, changed, and removed', async () => {
  await catalog.addEndpoint(endpoint);
  await expect(catalog.addEndpoint(endpoint)).rejects.toMatchObject({ code: 'endpoint-exists' });
  await catalog.updateEndpoint('main', (old) => ({ port: 6000, settings: { ...old.settings, jit: 'off' } }));
  expect(await catalog.endpoint('main')).toEqual({
    ...endpoint,
    port: 6000,
    settings: { work_mem: '4MB', jit: 'off' },
  });
  await catalog.removeEndpoint('main');
  expect(await catalog.endpoints()).toEqual([]);
});

test('an update sees what others wrote meanwhile', async () => {
  await catalog.addEndpoint({ ...endpoint, settings: {} });
  await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      catalog.updateEndpoint('main', (old) => ({
        port: old.port,
        settings: { ...old.settings, [`app.s${index}`]: 'x' },
      })),
    ),
  );
  expect(Object.keys((await catalog.endpoint('main'))?.settings ?? {}).sort()).toEqual([
    'app.s0',
    'app.s1',
    'app.s2',
    'app.s3',
    'app.s4',
    'app.s5',
  ]);
});

test('an entry of another form is corruption that names the key', async () => {
  await store.commit({
    expect: [],
    put: [{ key: 'branch/main', value: { timeline: 'not an id', createdAt: '2026-01-02T03:04:05.678Z' } }],
  });
  await expect(catalog.branches()).rejects.toThrow(CorruptionError);
  await expect(catalog.branches()).rejects.toThrow(
    "metadata of 'branch/main': timeline: expected 32 hexadecimal digits",
  );
});
