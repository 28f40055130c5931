import { isAbsolute } from 'node:path';
import { RemoteStorageError } from './errors.ts';

/** A place for remote storage: a folder, or a bucket. */
export type RemoteLocation =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      /** Before every key: empty, or ending in a slash. */
      readonly prefix: string;
      /** Undefined: Amazon's own for the region. */
      readonly endpoint: string | undefined;
      readonly region: string | undefined;
    };

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^(?:[0-9A-Za-z_-][0-9A-Za-z._-]*\/)*$/;
const PREFIX_LENGTH_MAX = 256;

/**
 * Reads a location: an absolute path, or `s3://bucket/prefix?endpoint=http://host:port&region=name`, of which all but the bucket may be left out.
 * @throws RemoteStorageError `invalid-location`
 */
export function parseRemoteLocation(text: string): RemoteLocation {
  if (!text.startsWith('s3:')) {
    if (!isAbsolute(text)) throw invalid(text, 'expected an absolute path, or s3://bucket/prefix?endpoint=URL');
    return { kind: 'folder', path: text };
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw invalid(text, 'it is no URL', error);
  }
  if (url.username !== '' || url.password !== '')
    throw invalid(
      's3://…',
      'credentials do not belong there: they come from the environment or from ~/.aws, as for the AWS command line',
    );
  if (!text.startsWith('s3://') || !BUCKET.test(url.host))
    throw invalid(text, 'the name of a bucket is expected after s3://');
  const path = url.pathname.replace(/^\/+|\/+$/g, '');
  const prefix = path === '' ? '' : `${path}/`;
  if (!PREFIX.test(prefix) || prefix.length > PREFIX_LENGTH_MAX)
    throw invalid(text, 'the prefix may have letters, digits, dots, underscores, hyphens and slashes');
  for (const name of url.searchParams.keys())
    if (name !== 'endpoint' && name !== 'region')
      throw invalid(text, `'${name}' is not known, only endpoint and region`);
  const endpoint = url.searchParams.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !isHttpUrl(endpoint)) throw invalid(text, 'the endpoint is no http or https URL');
  return { kind: 's3', bucket: url.host, prefix, endpoint, region: url.searchParams.get('region') ?? undefined };
}

function isHttpUrl(text: string): boolean {
  try {
    return ['http:', 'https:'].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}

function invalid(text: string, why: string, cause?: unknown): RemoteStorageError {
  return new RemoteStorageError('invalid-location', `'${text}' is no place for remote storage: ${why}`, { cause });
}
