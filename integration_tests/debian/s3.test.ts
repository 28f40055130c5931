import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { openRemoteStorage } from '@zenith/remote-storage';
import { temporaryDirectory } from '@zenith/testing';
import { RemoteLab } from '../../packages/pageserver/src/remote/remote-lab.test-support.ts';
import { rivalGenerations } from '../../packages/pageserver/src/remote/rivals.test-support.ts';
import { remoteStorageConformance } from '../../packages/remote-storage/src/remote-storage.test-support.ts';
import { TcpProxy } from '../chaos/tcp-proxy.ts';
import { loseTheDisk } from '../support/lost-disk.ts';
import { rivalPageservers } from '../support/rival-pageservers.ts';
import { survivesCut, survivesOutage } from '../support/remote-outage.ts';
import { Radosgw, S3_CREDENTIALS } from '../support/radosgw.ts';
import { Zenith } from '../support/zenith.ts';

describe('S3, as Ceph serves it', () => {
  let radosgw: Radosgw;
  beforeAll(async () => {
    for (const [name, value] of Object.entries(S3_CREDENTIALS)) vi.stubEnv(name, value);
    radosgw = await Radosgw.start();
  });
  afterAll(async () => {
    await radosgw.remove();
    vi.unstubAllEnvs();
  });

  remoteStorageConformance('S3', async () => {
    const location = await radosgw.makeBucket('conformance');
    return { open: () => openRemoteStorage(location), remove: () => Promise.resolve() };
  });

  test('two pageservers that claim one timeline: the older one can neither change nor delete anything there, the younger one serves all of it', async () => {
    const directory = temporaryDirectory('zenith-rivals-');
    try {
      await rivalGenerations(
        new RemoteLab(directory.path, await openRemoteStorage(await radosgw.makeBucket('rivals'))),
      );
    } finally {
      directory.remove();
    }
  });

  test('two pageserver processes on one timeline, both at work: the older one says that it is superseded, makes nothing durable, removes nothing and answers for no WAL that it did not get; the younger one has everything', async () => {
    const location = await radosgw.makeBucket('processes');
    const storage = await openRemoteStorage(location);
    const zenith = await Zenith.init('--remote-storage', location);
    try {
      await rivalPageservers(zenith, storage);
    } finally {
      storage.close();
      await zenith.destroy();
    }
  });

  test('the network cut in the put of a layer, and of an index, anywhere in it: it is done again, nothing half is there or named, and the disk may be lost in the midst of it', async () => {
    const link = await TcpProxy.to(Number(new URL(radosgw.endpoint).port));
    const direct = await radosgw.makeBucket('cut');
    const storage = await openRemoteStorage(direct);
    const zenith = await Zenith.init('--remote-storage', radosgw.locationOf('cut', `http://127.0.0.1:${link.port}`));
    try {
      await survivesCut(zenith, link, storage);
    } finally {
      storage.close();
      await zenith.destroy();
      await link.close();
    }
  });

  test('the pageserver lost with its disk: everything comes back from S3 and the safekeepers', async () => {
    const zenith = await Zenith.init('--remote-storage', await radosgw.makeBucket('cluster'));
    try {
      await loseTheDisk(zenith);
    } finally {
      await zenith.destroy();
    }
  });

  test('S3 down, silent and then refusing: commits, ingest and reads go on, a restart too, and what was written gets there when it is back', async () => {
    const link = await TcpProxy.to(Number(new URL(radosgw.endpoint).port));
    await radosgw.makeBucket('outage');
    const location = radosgw.locationOf('outage', `http://127.0.0.1:${link.port}`);
    const zenith = await Zenith.init('--remote-storage', location);
    try {
      await survivesOutage(zenith, link);
    } finally {
      await zenith.destroy();
      await link.close();
    }
  });
});
