import { assert } from '@zenith/base';

/** Longest key. S3 allows 1024 bytes, prefix included. */
const KEY_LENGTH_MAX = 512;

const KEY = /^(?:[0-9A-Za-z_-][0-9A-Za-z._-]*\/)*[0-9A-Za-z_-][0-9A-Za-z._-]*$/;

/**
 * Holds that `key` can be an object's: words of letters, digits, `.`, `_` and `-`, none beginning with a dot, with slashes between. So a key is a path in a folder, and the order of keys
 * is that of their bytes.
 */
export function checkKey(key: string): void {
  assert(key.length <= KEY_LENGTH_MAX && KEY.test(key), 'an object key is a path of plain words');
}
