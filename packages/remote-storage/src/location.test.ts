import { expect, test } from 'vitest';
import { parseRemoteLocation } from './location.ts';

test('a location is a folder or a bucket', () => {
  expect(parseRemoteLocation('/srv/zenith')).toEqual({ kind: 'folder', path: '/srv/zenith' });
  expect(parseRemoteLocation('s3://bucket')).toEqual({
    kind: 's3',
    bucket: 'bucket',
    prefix: '',
    endpoint: undefined,
    region: undefined,
  });
  expect(parseRemoteLocation('s3://my.bucket/a/b/?endpoint=http://127.0.0.1:7480&region=eu-central-1')).toEqual({
    kind: 's3',
    bucket: 'my.bucket',
    prefix: 'a/b/',
    endpoint: 'http://127.0.0.1:7480',
    region: 'eu-central-1',
  });
});

test.each([
  ['relative/path', /absolute path/],
  ['s3:bucket', /name of a bucket/],
  ['s3://', /bucket|URL/],
  ['s3://B', /bucket/],
  ['s3://bucket/a b', /prefix/],
  ['s3://bucket/../x?endpoint=ftp://x', /endpoint/],
  ['s3://bucket?tls=off', /'tls' is not known/],
])('%s is none', (text, why) => {
  expect(() => parseRemoteLocation(text)).toThrow(why);
});

test('credentials are refused and not repeated', () => {
  expect(() => parseRemoteLocation('s3://key:secret@bucket/')).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining('secret') as string }) as Error,
  );
});
