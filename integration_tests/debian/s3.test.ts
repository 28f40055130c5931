import { afterAll, beforeAll, describe, vi } from 'vitest';
import { openRemoteStorage } from '@zenith/remote-storage';
import { remoteStorageConformance } from '../../packages/remote-storage/src/remote-storage.test-support.ts';
import { Radosgw, S3_CREDENTIALS } from '../support/radosgw.ts';

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
});
