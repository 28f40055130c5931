export { RemoteStorageError, type RemoteStorageErrorCode } from './errors.ts';
export { fetchBytes, fetchObject, fetchRange, type ExpectedObject, type ObjectSink } from './fetch-object.ts';
export { LocalFolderStorage } from './local-folder.ts';
export { parseRemoteLocation, type RemoteLocation } from './location.ts';
export { bytesSource, checkedBytes, checksumFile, fileSource, type ObjectSource } from './object-source.ts';
export { openRemoteStorage } from './open-remote-storage.ts';
export {
  DELETE_KEYS_MAX,
  LIST_PAGE_MAX,
  type GetOptions,
  type ListOptions,
  type ListPage,
  type ObjectInfo,
  type OperationOptions,
  type PutOptions,
  type RemoteObject,
  type RemoteStorage,
} from './remote-storage.ts';
export { backoffMs, OPERATION_RETRIES, withRetries, type RetryPolicy } from './retry.ts';
