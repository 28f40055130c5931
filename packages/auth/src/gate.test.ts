import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Admissions } from './admissions.ts';
import { Gate, keyFileName, mintToken, newKey, type Action, type Identity, type NewKey, type Role } from './index.ts';

const TENANT = '11'.repeat(16);
const TIMELINE = '22'.repeat(16);
const OTHER = '33'.repeat(16);
const HERE = { tenant: TENANT, timeline: TIMELINE };

let folder: string;
let remove: () => void;
let key: NewKey;
let gate: Gate;
let logged: object[];
let nowMs: number;

function privateFile(of: NewKey): string {
  const path = join(folder, `private-${of.id}`);
  writeFileSync(path, of.privatePem, { mode: 0o600 });
  return path;
}

function trust(of: NewKey): void {
  writeFileSync(join(folder, keyFileName(of.id)), of.publicPem);
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

const CLAIMS = { iss: 'zenith', iat: 1, role: 'admin' };

/** A token whose parts are what a test says, properly signed. */
function signed(header: object, claims: object): string {
  const content = `${part(header)}.${part(claims)}`;
  return `${content}.${sign(null, Buffer.from(content), createPrivateKey(key.privatePem)).toString('base64url')}`;
}

const mint = (identity: Identity, lifetimeSeconds?: number): Promise<string> =>
  mintToken(privateFile(key), identity, lifetimeSeconds);

beforeEach(() => {
  ({ path: folder, remove } = temporaryDirectory('zenith-auth-'));
  key = newKey();
  trust(key);
  logged = [];
  nowMs = Date.now();
  gate = new Gate(folder, { error: (fields) => logged.push(fields) }, () => nowMs);
});
afterEach(() => remove());

describe('a token', () => {
  test('says who its bearer is', async () => {
    expect(await gate.identify(await mint({ role: 'compute', ...HERE }))).toEqual({
      role: 'compute',
      ...HERE,
      keyId: key.id,
      expiresAtMs: undefined,
    });
    expect(await gate.identify(await mint({ role: 'monitor' }, 60))).toMatchObject({ role: 'monitor' });
  });

  test('is required', async () => {
    await expect(gate.identify(undefined)).rejects.toMatchObject({ code: 'credentials-missing' });
    await expect(gate.identify('')).rejects.toMatchObject({ code: 'credentials-missing' });
  });

  test('of a key that is not in the folder is refused, and so is one that only bears the name of such a key', async () => {
    const stranger = newKey();
    const token = await mintToken(privateFile(stranger), { role: 'admin' });
    await expect(gate.identify(token)).rejects.toMatchObject({ code: 'credentials-invalid' });
    const [, claims, signature] = token.split('.');
    const forged = `${part({ alg: 'EdDSA', kid: key.id })}.${claims}.${signature}`;
    await expect(gate.identify(forged)).rejects.toMatchObject({ code: 'credentials-invalid' });
  });

  test('that has expired is refused', async () => {
    await expect(gate.identify(await mint({ role: 'admin' }, -1))).rejects.toMatchObject({
      code: 'credentials-invalid',
      message: 'the token has expired',
    });
  });

  test('without a signature is refused, whatever algorithm it claims', async () => {
    for (const alg of ['none', 'None', 'EdDSA']) {
      const token = `${part({ alg, kid: key.id })}.${part(CLAIMS)}.`;
      await expect(gate.identify(token)).rejects.toMatchObject({ code: 'credentials-invalid' });
    }
  });

  test('whose secret is the public key is refused', async () => {
    for (const secret of [key.publicPem, key.publicPem.trim()]) {
      const content = `${part({ alg: 'HS256', kid: key.id })}.${part(CLAIMS)}`;
      const token = `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
      await expect(gate.identify(token)).rejects.toMatchObject({ code: 'credentials-invalid' });
    }
  });

  test('with claims that are not ours is refused although it is signed', async () => {
    const header = { alg: 'EdDSA', kid: key.id };
    expect(await gate.identify(signed(header, CLAIMS))).toMatchObject({ role: 'admin' });
    for (const claims of [
      { ...CLAIMS, iss: 'another' },
      { ...CLAIMS, role: 'root' },
      { ...CLAIMS, timeline: TIMELINE },
      { ...CLAIMS, tenant: 'ALL' },
      { ...CLAIMS, scope: 'everything' },
      { iss: 'zenith', iat: 1 },
    ])
      await expect(gate.identify(signed(header, claims))).rejects.toMatchObject({ code: 'credentials-invalid' });
  });

  test('does not reach out of the folder by the name of its key', async () => {
    const token = signed({ alg: 'EdDSA', kid: `../${folder.split('/').at(-1)}/${key.id}` }, CLAIMS);
    await expect(gate.identify(token)).rejects.toMatchObject({ code: 'credentials-invalid' });
    await expect(gate.identify(signed({ alg: 'EdDSA' }, CLAIMS))).rejects.toMatchObject({
      code: 'credentials-invalid',
    });
  });

  test('that is changed by one character, or is too long, is refused', async () => {
    const token = await mint({ role: 'reader', ...HERE });
    const at = token.indexOf('.') + 5;
    const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
    await expect(gate.identify(changed)).rejects.toMatchObject({ code: 'credentials-invalid' });
    await expect(gate.identify('x'.repeat(100_000))).rejects.toMatchObject({ code: 'credentials-invalid' });
  });
});

describe('keys', () => {
  test('count from when their file is there to when it is gone, without a restart', async () => {
    const next = newKey();
    const [before, after] = [await mint({ role: 'admin' }), await mintToken(privateFile(next), { role: 'admin' })];
    await expect(gate.identify(after)).rejects.toMatchObject({ code: 'credentials-invalid' });
    trust(next);
    expect(await gate.identify(after)).toMatchObject({ role: 'admin' });
    expect(await gate.identify(before)).toMatchObject({ role: 'admin' });
    rmSync(join(folder, keyFileName(key.id)));
    await expect(gate.identify(before)).rejects.toMatchObject({ code: 'credentials-invalid' });
    expect(await gate.identify(after)).toMatchObject({ role: 'admin' });
  });

  test('that are damaged, or another than their name says, let nobody in', async () => {
    const token = await mint({ role: 'admin' });
    for (const content of ['', 'nonsense', newKey().publicPem]) {
      writeFileSync(join(folder, keyFileName(key.id)), content);
      await expect(gate.identify(token)).rejects.toMatchObject({ code: 'keys-unusable' });
    }
  });

  test('that are damaged are told to the log by their path, and without it to somebody who is not known', async () => {
    const token = await mint({ role: 'admin' });
    writeFileSync(join(folder, keyFileName(key.id)), 'nonsense');
    const failure = await gate.identify(token).catch((error: unknown) => error);
    for (let error: unknown = failure; error instanceof Error; error = error.cause)
      expect(error.message).not.toContain(folder);
    expect(JSON.stringify(logged)).toContain(join(folder, keyFileName(key.id)));
  });

  test('that cannot be read do not show what is in them', async () => {
    const path = join(folder, 'damaged');
    writeFileSync(path, key.privatePem.replace('BEGIN', 'BEGUN'));
    chmodSync(path, 0o600);
    const failure = await mintToken(path, { role: 'admin' }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'keys-unusable' });
    expect(String(failure)).not.toContain(key.privatePem.split('\n')[1]);
  });
});

describe('who is in', () => {
  const ended: string[] = [];
  const end = (name: string) => (reason: Error) => void ended.push(`${name}: ${reason.message}`);
  beforeEach(() => ended.splice(0));

  test('is cut off when the key is removed, and nobody else is', async () => {
    const other = newKey();
    trust(other);
    const admissions = new Admissions(folder, () => nowMs);
    admissions.hold(await gate.identify(await mint({ role: 'compute' })), end('compute'));
    admissions.hold(await gate.identify(await mintToken(privateFile(other), { role: 'reader' })), end('other'));
    const release = admissions.hold(await gate.identify(await mint({ role: 'reader' })), end('gone'));
    admissions.look();
    expect(ended).toEqual([]);
    release();
    rmSync(join(folder, keyFileName(key.id)));
    for (let look = 0; look < 2; look++) admissions.look();
    expect(ended).toEqual(['compute: the key that signed the token has been removed']);
  });

  test('is cut off when the token expires', async () => {
    const admissions = new Admissions(folder, () => nowMs);
    const bearer = await gate.identify(await mint({ role: 'reader' }, 60));
    admissions.hold(bearer, end('reader'));
    nowMs = (bearer.expiresAtMs ?? 0) - 1;
    admissions.look();
    expect(ended).toEqual([]);
    nowMs++;
    admissions.look();
    expect(ended).toEqual(['reader: the token has expired']);
  });

  test('stays in while the key is there and cannot be read', async () => {
    const admissions = new Admissions(folder, () => nowMs);
    const release = admissions.hold(await gate.identify(await mint({ role: 'reader' })), end('reader'));
    writeFileSync(join(folder, keyFileName(key.id)), 'nonsense');
    admissions.look();
    expect(ended).toEqual([]);
    release();
  });
});

describe('a role', () => {
  const allowed: Readonly<Record<Role, readonly Action[]>> = {
    admin: ['manage', 'observe', 'read-pages', 'read-wal', 'write-wal', 'follow-wal', 'copy-timeline'],
    compute: ['read-pages', 'read-wal', 'write-wal'],
    pageserver: ['read-wal', 'follow-wal'],
    safekeeper: ['read-wal', 'copy-timeline'],
    reader: ['read-wal'],
    monitor: ['observe'],
  };

  test('may do what it is for, and nothing else', async () => {
    for (const role of Object.keys(allowed) as Role[]) {
      const token = await mint({ role });
      for (const action of allowed.admin) {
        const admitted = gate.admit(token, action, HERE);
        if (allowed[role].includes(action)) await expect(admitted).resolves.toMatchObject({ role });
        else await expect(admitted).rejects.toMatchObject({ code: 'credentials-forbidden' });
      }
    }
  });

  test('reaches as far as the scope of its token', async () => {
    const ofTimeline = await mint({ role: 'admin', ...HERE });
    const ofTenant = await mint({ role: 'admin', tenant: TENANT });
    expect(await gate.admit(ofTimeline, 'manage', HERE)).toMatchObject(HERE);
    expect(await gate.admit(ofTenant, 'manage', { tenant: TENANT, timeline: OTHER })).toMatchObject({ tenant: TENANT });
    for (const target of [
      { tenant: TENANT, timeline: OTHER },
      { tenant: OTHER, timeline: TIMELINE },
      { tenant: TENANT },
      {},
    ])
      await expect(gate.admit(ofTimeline, 'manage', target)).rejects.toMatchObject({ code: 'credentials-forbidden' });
    for (const target of [{ tenant: OTHER, timeline: TIMELINE }, {}])
      await expect(gate.admit(ofTenant, 'manage', target)).rejects.toMatchObject({ code: 'credentials-forbidden' });
  });
});
