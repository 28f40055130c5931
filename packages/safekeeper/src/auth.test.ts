import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyFileName, mintToken, newKey, SERVICE_TOKEN_FILE, type Identity, type NewKey } from '@zenith/auth';
import { newTimelineId } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import { PostgresClient } from '@zenith/wire';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfiguration } from './configuration/configuration.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';
import { testIdentity } from './testing/test-wal.test-support.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let safekeeper: Safekeeper;
let identity: TimelineIdentity;
let key: NewKey;

const keys = (): string => join(directory.path, 'keys');

function trust(of: NewKey): void {
  writeFileSync(join(keys(), keyFileName(of.id)), of.publicPem);
}

function mint(who: Identity, of = key): Promise<string> {
  const file = join(directory.path, of.id);
  writeFileSync(file, of.privatePem, { mode: 0o600 });
  return mintToken(file, who);
}

beforeEach(async () => {
  directory = temporaryDirectory();
  identity = testIdentity();
  key = newKey();
  const tokens = join(directory.path, 'tokens');
  for (const folder of [keys(), tokens]) mkdirSync(folder);
  trust(key);
  writeFileSync(join(tokens, SERVICE_TOKEN_FILE), await mint({ role: 'safekeeper' }), { mode: 0o600 });
  const free = { host: '127.0.0.1', port: 0 };
  safekeeper = await Safekeeper.start({
    dataDirectory: directory.path,
    configuration: parseConfiguration({ id: 1, listen: free, http: free, auth: { keys: keys(), tokens } }, 'test'),
    disk: localDisk,
    log: pino({ level: 'silent' }),
    version: '0.0.0',
    nowMs: Date.now,
  });
});
afterEach(async () => {
  await safekeeper.stop();
  directory.remove();
});

/** What the safekeeper says to `sql` from somebody with this token: nothing, or the SQLSTATE it refuses with. */
async function ask(token: string | undefined, sql: string, name = 'test', more = ''): Promise<string | undefined> {
  const { tenant, timeline } = identity;
  const options = `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}${more}`;
  const parameters = { user: 'test', replication: 'true', application_name: name, options };
  const { host, port } = safekeeper.addresses.listen;
  let client: PostgresClient | undefined;
  try {
    client = await PostgresClient.connect({ host, port, parameters, password: token, timeoutMs: 10_000 });
    if (sql.startsWith('START')) await client.copyBoth(sql, () => undefined);
    else await client.query(sql);
    return undefined;
  } catch (error) {
    return (error as { sqlState?: string }).sqlState ?? (error as { code?: string }).code;
  } finally {
    client?.destroy();
  }
}

describe('a safekeeper that requires a token', () => {
  test('takes it as the password, and lets nobody in without', async () => {
    const { tenant, timeline } = identity;
    // 42704: this safekeeper does not know the timeline, which only those who were let in are told.
    expect(await ask(await mint({ role: 'reader', tenant, timeline }), 'IDENTIFY_SYSTEM')).toBe('42704');
    expect(await ask(undefined, 'IDENTIFY_SYSTEM')).toBe('authentication-unsupported');
    expect(await ask('', 'IDENTIFY_SYSTEM')).toBe('28P01');
    expect(await ask('nonsense', 'IDENTIFY_SYSTEM')).toBe('28P01');
    expect(await ask(await mint({ role: 'admin' }, newKey()), 'IDENTIFY_SYSTEM')).toBe('28P01');
    expect(await ask(await mint({ role: 'monitor' }), 'IDENTIFY_SYSTEM')).toBe('42501');
    expect(await ask(await mint({ role: 'reader', tenant, timeline: newTimelineId() }), 'IDENTIFY_SYSTEM')).toBe(
      '42501',
    );
  });

  test('refuses a password that is too long before it is there', async () => {
    expect(await ask('x'.repeat(5_000), 'IDENTIFY_SYSTEM')).toBe('08P01');
  });

  test('takes WAL from computes only', async () => {
    const { tenant, timeline } = identity;
    expect(await ask(await mint({ role: 'compute', tenant, timeline }), 'START_WAL_PUSH')).toBeUndefined();
    for (const role of ['reader', 'pageserver', 'safekeeper'] as const)
      expect(await ask(await mint({ role }), 'START_WAL_PUSH')).toBe('42501');
  });

  test('believes only a pageserver what is durable, and shows only a compute what is not committed', async () => {
    const read = 'START_REPLICATION PHYSICAL 0/1000000';
    const reader = await mint({ role: 'reader' });
    expect(await ask(reader, read)).toBe('42704');
    expect(await ask(reader, read, 'pageserver')).toBe('42501');
    expect(await ask(await mint({ role: 'pageserver' }), read, 'pageserver')).toBe('42704');
    expect(await ask(reader, read, 'test', ' -c zenith.term=1')).toBe('42501');
    expect(await ask(await mint({ role: 'compute' }), read, 'test', ' -c zenith.term=1')).toBe('42704');
  });

  test('asks for it over HTTP too, also for what there is not', async () => {
    const { host, port } = safekeeper.addresses.http;
    const { tenant, timeline } = identity;
    const status = async (method: string, path: string, token?: string): Promise<number> => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return (await fetch(`http://${host}:${port}${path}`, { method, headers })).status;
    };
    const here = `/v1/tenant/${tenant}/timeline/${timeline}`;
    const requests = [
      ['GET', '/healthz', 'monitor', 200],
      ['GET', '/metrics', 'monitor', 200],
      ['GET', '/v1/status', 'monitor', 200],
      ['GET', '/v1/timelines', 'pageserver', 200],
      ['GET', here, 'admin', 404],
      ['GET', `${here}/control`, 'safekeeper', 404],
      ['DELETE', here, 'admin', 204],
      ['GET', `/v1/tenant/${tenant}/removed`, 'admin', 200],
      ['POST', `/v1/tenant/${tenant}/removed`, 'admin', 400],
      ['POST', `${here}/pull`, 'admin', 400],
      ['GET', '/nothing', 'admin', 404],
    ] as const;
    for (const [method, path, role, expected] of requests) {
      expect([path, await status(method, path)]).toEqual([path, 401]);
      expect([path, await status(method, path, 'nonsense')]).toEqual([path, 401]);
      expect([path, await status(method, path, await mint({ role: 'reader' }))]).toEqual([path, 403]);
      expect([path, await status(method, path, await mint({ role }))]).toEqual([path, expected]);
    }
    const elsewhere = await mint({ role: 'admin', tenant, timeline: newTimelineId() });
    expect(await status('DELETE', here, elsewhere)).toBe(403);
    expect(await status('GET', '/healthz', elsewhere)).toBe(403);
  });

  test('ends the sessions of a key that is removed', async () => {
    const { tenant, timeline } = identity;
    const options = `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`;
    const parameters = { user: 'test', replication: 'true', application_name: 'test', options };
    const { host, port } = safekeeper.addresses.listen;
    const password = await mint({ role: 'compute', tenant, timeline });
    const client = await PostgresClient.connect({ host, port, parameters, password, timeoutMs: 10_000 });
    await client.copyBoth('START_WAL_PUSH', () => undefined);
    rmSync(join(keys(), keyFileName(key.id)));
    expect(await client.closed).toMatchObject({
      sqlState: '28P01',
      message: 'the key that signed the token has been removed',
    });
  });

  test('takes new keys and drops old ones while it runs', async () => {
    const next = newKey();
    const [before, after] = [await mint({ role: 'reader' }), await mint({ role: 'reader' }, next)];
    expect([await ask(before, 'IDENTIFY_SYSTEM'), await ask(after, 'IDENTIFY_SYSTEM')]).toEqual(['42704', '28P01']);
    trust(next);
    expect([await ask(before, 'IDENTIFY_SYSTEM'), await ask(after, 'IDENTIFY_SYSTEM')]).toEqual(['42704', '42704']);
    rmSync(join(keys(), keyFileName(key.id)));
    expect([await ask(before, 'IDENTIFY_SYSTEM'), await ask(after, 'IDENTIFY_SYSTEM')]).toEqual(['28P01', '42704']);
  });
});
