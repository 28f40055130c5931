import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { openRemoteStorage } from '@zenith/remote-storage';
import { remoteStorageConformance } from '../../packages/remote-storage/src/remote-storage.test-support.ts';
import { TcpProxy } from '../chaos/tcp-proxy.ts';
import { loseTheDisk } from '../support/lost-disk.ts';
import { survivesOutage } from '../support/remote-outage.ts';
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
    const location = await radosgw.makeBucket('outage', `http://127.0.0.1:${link.port}`);
    const zenith = await Zenith.init('--remote-storage', location);
    try {
      await survivesOutage(zenith, link);
    } finally {
      await zenith.destroy();
      await link.close();
    }
  });
});
