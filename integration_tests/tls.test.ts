import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { once } from 'node:events';
import { issueAuthority, Trust } from '@zenith/auth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank, type BankResult } from './support/bank.ts';
import { doorsOf, type Door } from './support/doors.ts';
import { Zenith } from './support/zenith.ts';

/** How a connection ends that nothing was said on: orderly or not, as it happens. */
const CUT_OFF = /^(connection-lost|ECONNRESET|EPIPE)$/;

const options = { clients: 4, accounts: 200 };

let zenith: Zenith;
let doors: Door[];
let token: string;
let trust: Trust;
const results: BankResult[] = [];

beforeAll(async () => {
  zenith = await Zenith.init('--auth', '--tls', '--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main');
  const { tenant, timeline } = await zenith.branch('main');
  doors = await doorsOf(zenith, tenant, timeline);
  ({ token } = await zenith.json<{ token: string }>('auth', 'token', '--role', 'admin'));
  trust = new Trust(authority());
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
});
afterAll(() => zenith.destroy());

const authority = (): string => join(zenith.repository, 'tls', 'ca.pem');

interface CertificatesJson {
  readonly certificates: readonly { readonly use: string; readonly fingerprint: string }[];
}

async function fingerprint(...args: string[]): Promise<string> {
  const { certificates } = await zenith.json<CertificatesJson>('auth', 'certificates', ...args);
  return certificates.find(({ use }) => use === 'server')?.fingerprint ?? '';
}

test('every port lets in who speaks TLS and shows a token', async () => {
  expect(doors).toHaveLength(9);
  for (const door of doors) {
    expect([door.name, await door.knock(token, trust)]).toEqual([door.name, 'in']);
    expect([door.name, await door.knock(undefined, trust)]).not.toEqual([door.name, 'in']);
  }
});

test('every port refuses who speaks in clear, whatever token is shown', async () => {
  for (const door of doors)
    expect([door.name, await door.knock(token)]).toEqual([
      door.name,
      // Safekeepers say how to connect in PostgreSQL's own protocol; the others can say nothing that is understood.
      expect.stringMatching(door.name.startsWith('safekeeper') && !door.name.endsWith('HTTP') ? /^28000$/ : CUT_OFF),
    ]);
});

test('a client that knows another authority shows its token to none of the services', async () => {
  const other = join(zenith.directory, 'other.pem');
  writeFileSync(other, (await issueAuthority('other', Date.now(), 3_600_000)).certificate);
  for (const door of doors)
    expect([door.name, await door.knock(token, new Trust(other))]).toEqual([
      door.name,
      expect.stringMatching(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT/),
    ]);
});

test('what is a secret is its owner’s only, and the authority’s certificate is everybody’s', () => {
  const modeOf = (name: string): number => statSync(join(zenith.repository, 'tls', name)).mode & 0o777;
  expect(['ca-key.pem', 'server.pem', 'ca.pem'].map(modeOf)).toEqual([0o600, 0o600, 0o644]);
});

test('the certificate is renewed under load: no transaction fails, every port shows the new one', async () => {
  const before = await fingerprint();
  /** What an HTTPS port shows; the others say something first. */
  async function shown(port: number): Promise<string> {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  }
  const direct = doors.filter(({ name }) => name === 'pageserver' || name.endsWith('HTTP'));
  for (const { name, port } of direct) expect([name, await shown(port)]).toEqual([name, before]);
  const renewed = fingerprint('--renew');
  const result = await runBank(() => zenith.connect(), options, { firstId: 1, until: renewed });
  results.push(result);
  expect([result.errors, result.unknown.size]).toEqual([[], 0]);
  expect(await renewed).not.toBe(before);
  for (const { name, port } of direct) expect([name, await shown(port)]).toEqual([name, await renewed]);
  for (const door of doors) expect([door.name, await door.knock(token, trust)]).toEqual([door.name, 'in']);
});

test('a safekeeper is killed, one is replaced, all are restarted, and branches are made as in clear', async () => {
  async function disturb(): Promise<void> {
    await zenith.kill('safekeeper 2');
    await zenith.run('start');
    await zenith.run('restart');
  }
  const result = await runBank(() => zenith.connect(), options, { firstId: 1_000_000, until: disturb() });
  results.push(result);
  expect([result.errors, result.unknown.size]).toEqual([[], 0]);
  await zenith.run('safekeeper', 'replace', '3');
  await zenith.run('branch', 'child', 'main');
  await zenith.startPostgres('child');
  expect(await zenith.query('child', 'select sum(balance)::int from bank')).toEqual([{ sum: 0 }]);
  for (const args of [['layers', 'main'], ['lsn', 'main'], ['gc'], ['status']]) await zenith.run(...args);
  await zenith.run('stop');
  await zenith.run('start');
  await zenith.startPostgres('main');
  const client = await zenith.connect();
  expect(await auditBank(client, results)).toEqual([]);
  await client.end();
});
