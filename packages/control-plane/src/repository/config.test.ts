import { expect, test } from 'vitest';
import { formatConfig, parseConfig, type RepositoryConfig } from './config.ts';

const good: RepositoryConfig = {
  format: 1,
  tenant: '0123456789abcdef0123456789abcdef' as RepositoryConfig['tenant'],
  pgMajor: 18,
  pgBinDir: null,
  superuser: 'me',
  osUser: null,
  remoteStorage: null,
  auth: false,
  tls: false,
  host: '127.0.0.1',
  pageserver: { port: 64000, httpPort: 9898 },
  safekeepers: [{ id: 1, port: 64101, httpPort: 64201 }],
  computePortFirst: 55432,
};

test('what is written is read back', () => {
  expect(parseConfig(formatConfig(good), 'config.json')).toEqual(good);
});

test.each([
  ['an unknown key', { ...good, pgmajor: 18 }, 'pgmajor'],
  ['an unsupported version', { ...good, pgMajor: 14 }, 'pgMajor'],
  ['a port that is none', { ...good, pageserver: { port: 70_000, httpPort: 9898 } }, 'pageserver.port'],
  ['no safekeeper', { ...good, safekeepers: [] }, 'safekeepers'],
  [
    'two services on one port',
    { ...good, safekeepers: [{ id: 1, port: 64000, httpPort: 64201 }] },
    'two services have the same port',
  ],
  [
    'two safekeepers of one id',
    { ...good, safekeepers: [good.safekeepers[0], { id: 1, port: 1, httpPort: 2 }] },
    'same id',
  ],
  ['a relative folder', { ...good, pgBinDir: 'pg/bin' }, 'expected an absolute path'],
  ['a host with a blank', { ...good, host: 'a b' }, 'expected a host name'],
])('%s is refused, and named', (_what, config, message) => {
  expect(() => parseConfig(JSON.stringify(config), '/r/config.json')).toThrow(`/r/config.json: `);
  expect(() => parseConfig(JSON.stringify(config), '/r/config.json')).toThrow(message);
});

test('text that is not JSON is refused', () => {
  expect(() => parseConfig('{', 'config.json')).toThrow('config.json is not JSON');
});
