import { afterAll, beforeAll, describe, test, vi } from 'vitest';
import { openRemoteStorage } from '@zenith/remote-storage';
import { remoteStorageConformance } from '../../packages/remote-storage/src/remote-storage.test-support.ts';
import { loseTheDisk } from '../support/lost-disk.ts';
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
});
