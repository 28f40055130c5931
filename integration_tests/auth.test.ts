import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mintToken, newKey, type Identity } from '@zenith/auth';
import { newTimelineId, type TenantId, type TimelineId } from '@zenith/base';
import { PostgresClient } from '@zenith/wire';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank, type BankResult } from './support/bank.ts';
import { doorsOf, type Door } from './support/doors.ts';
import { Zenith } from './support/zenith.ts';

const options = { clients: 4, accounts: 200 };

let zenith: Zenith;
let tenant: TenantId;
let timeline: TimelineId;
let doors: Door[];
const results: BankResult[] = [];

beforeAll(async () => {
  zenith = await Zenith.init('--auth', '--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main');
  ({ tenant, timeline } = await zenith.branch('main'));
  doors = await doorsOf(zenith, tenant, timeline);
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
});
afterAll(() => zenith.destroy());

interface IssuedJson {
  readonly token: string;
  readonly keyId: string;
}

interface KeysJson {
  readonly keys: readonly { readonly id: string; readonly signs: boolean }[];
}

const tokenOf = async (...args: string[]): Promise<string> =>
  (await zenith.json<IssuedJson>('auth', 'token', ...args)).token;

/** What every port says to this token. */
async function knockEverywhere(token: string | undefined): Promise<Record<string, string>> {
  const answers: Record<string, string> = {};
  for (const door of doors) answers[door.name] = await door.knock(token);
  return answers;
}

/** A token for `identity` by a key of the repository's own or of somebody else's. @param keyFile the private key */
function mint(keyFile: string, identity: Identity, lifetimeSeconds?: number): Promise<string> {
  return mintToken(keyFile, identity, lifetimeSeconds);
}

/** What each port is to say: WAL's in SQLSTATEs, pages' with one code, HTTP's with the reason. */
function refusals(http: string, sqlState: string): Record<string, string> {
  const answerOf = (name: string): string =>
    name.endsWith('HTTP') ? http : name === 'pageserver' ? 'unauthorized' : sqlState;
  return Object.fromEntries(doors.map(({ name }) => [name, answerOf(name)]));
}

test('every port lets in who shows a good token, and nobody without one, or with one that is not', async () => {
  expect(doors).toHaveLength(9);
  expect(new Set(Object.values(await knockEverywhere(await tokenOf('--role', 'admin'))))).toEqual(new Set(['in']));
  expect(await knockEverywhere(undefined)).toEqual(refusals('credentials-missing', 'authentication-unsupported'));
  expect(await knockEverywhere('nonsense')).toEqual(refusals('credentials-invalid', '28P01'));
  const stranger = join(zenith.directory, 'stranger.pem');
  writeFileSync(stranger, newKey().privatePem, { mode: 0o600 });
  expect(await knockEverywhere(await mint(stranger, { role: 'admin' }))).toEqual(
    refusals('credentials-invalid', '28P01'),
  );
  const own = join(zenith.repository, 'auth', 'signing-key.pem');
  expect(await knockEverywhere(await mint(own, { role: 'admin' }, -1))).toEqual(
    refusals('credentials-invalid', '28P01'),
  );
  const elsewhere = await tokenOf('--role', 'admin', '--timeline', newTimelineId());
  expect(await knockEverywhere(elsewhere)).toEqual(refusals('credentials-forbidden', '42501'));
});

test('what is a secret is its owner’s only', () => {
  const auth = join(zenith.repository, 'auth');
  expect(statSync(auth).mode & 0o777).toBe(0o700);
  expect(statSync(join(auth, 'signing-key.pem')).mode & 0o777).toBe(0o600);
  for (const holder of readdirSync(join(auth, 'tokens')))
    for (const name of readdirSync(join(auth, 'tokens', holder)))
      expect(statSync(join(auth, 'tokens', holder, name)).mode & 0o777).toBe(0o600);
});

test('a compute reads its own timeline and its ancestors’ WAL, and no other', async () => {
  await zenith.run('branch', 'child', 'main');
  await zenith.startPostgres('child');
  expect(await zenith.query('child', 'select sum(balance)::int from bank')).toEqual([{ sum: 0 }]);
  const child = (await zenith.branch('child')).timeline;
  expect(readdirSync(join(zenith.repository, 'auth/tokens/compute-child')).toSorted()).toEqual(
    [`${child}.jwt`, `${timeline}.jwt`].toSorted(),
  );
  await zenith.run('pg', 'stop', 'child', '--destroy');
  expect(readdirSync(join(zenith.repository, 'auth/tokens'))).not.toContain('compute-child');
});

test('keys are rotated and revoked under load: no transaction fails, who is in with a revoked key is cut off', async () => {
  const old = (await zenith.json<KeysJson>('auth', 'keys')).keys.find(({ signs }) => signs);
  if (old === undefined) throw new Error('no key signs');
  const before = await tokenOf('--role', 'admin');
  const { safekeeperPort: port } = await zenith.branch('main');
  const follower = await PostgresClient.connect({
    host: '127.0.0.1',
    port,
    parameters: {
      user: 'test',
      replication: 'true',
      application_name: 'test',
      options: `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`,
    },
    password: await tokenOf('--role', 'reader', '--branch', 'main'),
    timeoutMs: 20_000,
  });
  async function change(): Promise<void> {
    const refused = await zenith.try('auth', 'revoke', old?.id ?? '');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('zenith auth rotate')]);
    await zenith.run('auth', 'rotate');
    expect(new Set(Object.values(await knockEverywhere(before)))).toEqual(new Set(['in']));
    await follower.query('IDENTIFY_SYSTEM');
    await zenith.run('auth', 'revoke', old?.id ?? '');
    // The bank goes on until everybody who came in with the old key is cut off.
    expect(await follower.closed).toMatchObject({ sqlState: '28P01' });
  }
  const changed = change();
  const result = await runBank(() => zenith.connect(), options, { firstId: 1, until: changed });
  await changed;
  results.push(result);
  expect(result.errors).toEqual([]);
  expect(result.unknown.size).toBe(0);
  expect(await knockEverywhere(before)).toEqual(refusals('credentials-invalid', '28P01'));
  expect((await zenith.json<KeysJson>('auth', 'keys')).keys.map(({ id }) => id)).not.toContain(old.id);
  const after = await runBank(() => zenith.connect(), options, { firstId: 1_000_000, until: zenith.run('status') });
  results.push(after);
  expect([after.errors, after.unknown.size]).toEqual([[], 0]);
  const client = await zenith.connect();
  expect(await auditBank(client, results)).toEqual([]);
  await client.end();
});

test('commands that ask and change services go on as without tokens', async () => {
  await zenith.run('safekeeper', 'replace', '3');
  await zenith.run('restart');
  for (const args of [['layers', 'main'], ['lsn', 'main'], ['gc'], ['config', 'set', 'history', '1h'], ['scrub']])
    await zenith.run(...args);
  await zenith.run('page', 'main', 'public.bank', '0');
  expect((await zenith.json<{ nodes: { status: string }[] }>('status')).nodes.map(({ status }) => status)).toEqual(
    Array.from({ length: 4 }, () => 'running'),
  );
  await zenith.run('pg', 'stop', 'main');
  await zenith.run('stop');
  await zenith.run('start');
  await zenith.startPostgres('main');
  const client = await zenith.connect();
  expect(await auditBank(client, results)).toEqual([]);
  await client.end();
});
