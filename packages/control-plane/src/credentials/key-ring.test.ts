import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gate, TokenFolder } from '@zenith/auth';
import { newTimelineId, type SystemId, type TimelineId } from '@zenith/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEndpoint } from '../endpoints/endpoints.ts';
import { bareRepository, type BareRepository } from '../repository/fake-repository.test-support.ts';
import { formatConfig } from '../repository/config.ts';
import { openRepositoryAt, type Repository } from '../repository/repository.ts';
import {
  authOptions,
  computeHolder,
  forgetTokens,
  issueComputeTokens,
  issueNodeTokens,
  PAGESERVER_HOLDER,
  safekeeperHolder,
} from './holders.ts';
import { issueToken, listKeys, revokeKey, rotateKeys } from './key-ring.ts';
import { makeSigningKey } from './signing-key.ts';

let bare: BareRepository;
let repository: Repository;
let gate: Gate;
let first: string;

/** Turns tokens on in a repository that was made without. */
function turnOn({ layout, config }: Repository): Repository {
  writeFileSync(layout.configFile, formatConfig({ ...config, auth: true }));
  return openRepositoryAt(layout.root);
}

beforeEach(async () => {
  bare = await bareRepository();
  repository = turnOn(bare.repository);
  first = makeSigningKey(repository.layout.auth);
  gate = new Gate(repository.layout.auth.keys, { error: () => undefined });
});
afterEach(() => bare.remove());

const shown = (holder: string, timeline?: string): string | undefined =>
  new TokenFolder(repository.layout.auth.tokens(holder)).token(timeline);

describe('keys', () => {
  test('are its owner’s only, the private one before all', () => {
    const { auth } = repository.layout;
    expect(statSync(auth.root).mode & 0o777).toBe(0o700);
    expect(statSync(auth.signingKey).mode & 0o777).toBe(0o600);
  });

  test('follow each other: the new one signs, the old one stays accepted until it is revoked', async () => {
    const before = (await issueToken(repository, { role: 'monitor' }, 60)).token;
    const second = await rotateKeys(repository);
    expect(listKeys(repository).map(({ id, signs }) => [id, signs])).toEqual([
      [second, true],
      [first, false],
    ]);
    const after = await issueToken(repository, { role: 'monitor' }, 60);
    expect(after.keyId).toBe(second);
    for (const token of [before, after.token]) expect(await gate.identify(token)).toMatchObject({ role: 'monitor' });
    expect(await revokeKey(repository, first.slice(0, 10))).toBe(first);
    await expect(gate.identify(before)).rejects.toMatchObject({ code: 'credentials-invalid' });
    expect(await gate.identify(after.token)).toMatchObject({ role: 'monitor' });
  });

  test('are not revoked while they sign, nor by a name that is no key’s or more than one key’s', async () => {
    await expect(revokeKey(repository, first)).rejects.toMatchObject({ code: 'key-signs' });
    await rotateKeys(repository);
    for (const id of ['', 'nonsense', '../keys'])
      await expect(revokeKey(repository, id)).rejects.toMatchObject({ code: 'no-such-key' });
    expect(listKeys(repository)).toHaveLength(2);
  });

  test('that are lost are told, and made anew by a rotation', async () => {
    rmSync(repository.layout.auth.root, { recursive: true });
    for (const use of [() => repository.operator.token(), () => issueToken(repository, { role: 'admin' }, 60)])
      await expect(use()).rejects.toMatchObject({
        code: 'repository-invalid',
        message: expect.stringContaining("'zenith auth rotate'"),
      });
    const id = await rotateKeys(repository);
    expect(await gate.identify(await repository.operator.token())).toMatchObject({ role: 'admin', keyId: id });
  });
});

describe('tokens of services', () => {
  test('are what each needs, and no more', async () => {
    for (const holder of [PAGESERVER_HOLDER, safekeeperHolder(1)]) await issueNodeTokens(repository, { holder });
    const { tenant } = repository.config;
    expect(await gate.identify(shown(PAGESERVER_HOLDER))).toMatchObject({ role: 'pageserver', tenant: undefined });
    expect(await gate.identify(shown(safekeeperHolder(1)))).toMatchObject({ role: 'safekeeper', tenant });
    const main = await repository.catalog.timeline(bare.main);
    const child = { ...main, id: newTimelineId(), ancestor: bare.main };
    await issueComputeTokens(repository, 'main', child, [main]);
    const ofCompute = (timeline: TimelineId): Promise<object> => gate.identify(shown(computeHolder('main'), timeline));
    expect(await ofCompute(child.id)).toMatchObject({ role: 'compute', tenant, timeline: child.id });
    expect(await ofCompute(main.id)).toMatchObject({ role: 'reader', tenant, timeline: main.id });
    await expect(ofCompute(newTimelineId())).rejects.toMatchObject({ code: 'credentials-missing' });
  });

  test('are signed anew by the new key, for running computes too, so that the old one can go', async () => {
    const { catalog } = repository;
    const child = newTimelineId();
    const record = { id: child, pgMajor: 18 as const, systemId: '7' as SystemId, ancestor: bare.main };
    const { startLsn, createdAt } = await catalog.timeline(bare.main);
    await catalog.addBranch('child', { ...record, startLsn, createdAt });
    for (const branch of ['child', 'main']) await createEndpoint(repository, { branch });
    const main = await catalog.timeline(bare.main);
    await issueComputeTokens(repository, 'child', await catalog.timeline(child), [main]);
    for (const holder of [PAGESERVER_HOLDER, safekeeperHolder(1)]) await issueNodeTokens(repository, { holder });
    const second = await rotateKeys(repository);
    await revokeKey(repository, first);
    for (const token of [
      shown(PAGESERVER_HOLDER),
      shown(safekeeperHolder(1)),
      shown(computeHolder('child'), child),
      shown(computeHolder('child'), bare.main),
    ])
      expect(await gate.identify(token)).toMatchObject({ keyId: second });
    // One that never ran has none.
    expect(readdirSync(join(repository.layout.auth.root, 'tokens'))).not.toContain(computeHolder('main'));
  });

  test('that are for a timeline of before, or of somebody who is no more, are removed', async () => {
    const main = await repository.catalog.timeline(bare.main);
    const child = { ...main, id: newTimelineId(), ancestor: bare.main };
    await issueComputeTokens(repository, 'main', child, [main]);
    await issueComputeTokens(repository, 'main', main, []);
    const folder = repository.layout.auth.tokens(computeHolder('main'));
    expect(readdirSync(folder)).toEqual([`${main.id}.jwt`]);
    expect(statSync(join(folder, `${main.id}.jwt`)).mode & 0o777).toBe(0o600);
    forgetTokens(repository, computeHolder('main'));
    expect(() => readFileSync(folder)).toThrow('ENOENT');
  });
});

test('a repository that asks for no tokens has none, and says how it could', async () => {
  const off = bare.repository;
  expect(await off.operator.token()).toBeUndefined();
  expect(authOptions(off, PAGESERVER_HOLDER)).toBeUndefined();
  mkdirSync(off.layout.locks, { recursive: true });
  await issueNodeTokens(off, { holder: 'pageserver' });
  expect(readdirSync(off.layout.auth.root)).toEqual(['keys', 'signing-key.pem']);
  expect(() => listKeys(off)).toThrow("'zenith init --auth'");
  for (const work of [rotateKeys(off), revokeKey(off, first), issueToken(off, { role: 'admin' }, 60)])
    await expect(work).rejects.toMatchObject({ code: 'auth-off' });
});
