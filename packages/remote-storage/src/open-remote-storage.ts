import { LocalFolderStorage } from './local-folder.ts';
import { parseRemoteLocation, type RemoteLocation } from './location.ts';
import type { RemoteStorage } from './remote-storage.ts';

/**
 * Opens remote storage by its location, see {@link parseRemoteLocation}. The S3 client is loaded only for a bucket: it costs some 150 ms and 25 MB. A bucket is not asked for anything yet.
 * @throws RemoteStorageError `invalid-location`, `refused` for a folder that cannot be made
 */
export async function openRemoteStorage(location: string | RemoteLocation): Promise<RemoteStorage> {
  const parsed = typeof location === 'string' ? parseRemoteLocation(location) : location;
  if (parsed.kind === 'folder') return LocalFolderStorage.open(parsed.path);
  const { S3Storage } = await import('./s3/s3-storage.ts');
  return new S3Storage(parsed);
}
