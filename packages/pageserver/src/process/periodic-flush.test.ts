import { lsn, newTenantId, newTimelineId } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import { expect, it } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import { PeriodicFlush } from './periodic-flush.ts';

it('makes what was ingested durable, again and again, also after intervals in which there was nothing', async () => {
  const directory = temporaryDirectory();
  const store = TimelineStore.open(directory.path);
  const timeline = await store.create({
    tenant: newTenantId(),
    timeline: newTimelineId(),
    pgMajor: 18,
    initialLsn: lsn(1000),
  });
  const flush = new PeriodicFlush(store, 5);
  const object = timeline.intern(ObjectKind.tablespace, 1, 0, 0, 0);
  for (let at = 1008; at <= 1032; at += 8) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    timeline.put(object, 0, lsn(at), ValueKind.image, Uint8Array.of(1), 0, 1);
    timeline.advance(lsn(at));
    await expect.poll(() => timeline.diskConsistentLsn, { timeout: 5000 }).toBe(at);
  }
  await flush.stop();
  await store.close();
  directory.remove();
});
