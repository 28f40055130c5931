import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueAuthority, issueCertificate } from '@zenith/auth';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bareRepository, type BareRepository } from '../repository/fake-repository.test-support.ts';
import { formatConfig, type RepositoryConfig } from '../repository/config.ts';
import { openRepositoryAt, type Repository } from '../repository/repository.ts';
import { listCertificates, makeCertificate, renewCertificate, renewWhenDue } from './certificates.ts';
import { tlsOptions } from './tls-options.ts';

let bare: BareRepository;
let repository: Repository;

function withTls(tls: RepositoryConfig['tls']): Repository {
  const { layout, config } = bare.repository;
  writeFileSync(layout.configFile, formatConfig({ ...config, tls }));
  return openRepositoryAt(layout.root);
}

beforeEach(async () => {
  bare = await bareRepository();
  repository = withTls(true);
  await makeCertificate(repository);
});
afterEach(() => bare.remove());

const certificateIn = (file: string): X509Certificate => new X509Certificate(readFileSync(file));

test('a certificate is the authority’s, good for where the services listen, and its key is its owner’s only', () => {
  const { tls } = repository.layout;
  const [server, authority] = [certificateIn(tls.certificate), certificateIn(tls.authority)];
  expect(server.verify(authority.publicKey) && server.checkIssued(authority)).toBe(true);
  expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(server.checkHost('localhost')).toBe('localhost');
  expect([server.ca, authority.ca]).toEqual([false, true]);
  expect([tls.certificate, tls.authorityKey, tls.authority].map((file) => statSync(file).mode & 0o777)).toEqual([
    0o600, 0o600, 0o644,
  ]);
});

test('a renewal makes another certificate and key of the same authority', async () => {
  const before = listCertificates(repository);
  await renewCertificate(repository);
  const after = listCertificates(repository);
  expect(after.map(({ use }) => use)).toEqual(['server', 'authority']);
  expect(after[0]?.fingerprint).not.toBe(before[0]?.fingerprint);
  expect(after[1]).toEqual(before[1]);
  expect(after[0]?.hosts).toContain('127.0.0.1');
});

test('a certificate that ends soon is renewed by whatever starts a service, and no other', async () => {
  const { tls } = repository.layout;
  const fresh = readFileSync(tls.certificate, 'utf8');
  await renewWhenDue(repository);
  expect(readFileSync(tls.certificate, 'utf8')).toBe(fresh);
  const authority = { certificate: readFileSync(tls.authority, 'utf8'), key: readFileSync(tls.authorityKey, 'utf8') };
  const ending = await issueCertificate(authority, ['127.0.0.1'], Date.now(), 24 * 3600 * 1000);
  writeFileSync(tls.certificate, ending.certificate + ending.key);
  await renewWhenDue(repository);
  expect(listCertificates(repository)[0]?.validUntilMs).toBeGreaterThan(Date.now() + 700 * 24 * 3600 * 1000);
});

test('what is lost or damaged is named, with what to do; secrets are not shown', async () => {
  const { tls } = repository.layout;
  writeFileSync(tls.authorityKey, readFileSync(tls.authorityKey, 'utf8').replace('BEGIN', 'BEGUN'));
  await expect(renewCertificate(repository)).rejects.toMatchObject({ code: 'repository-invalid' });
  await expect(renewCertificate(repository)).rejects.toThrow('cannot certify anything');
  rmSync(tls.authorityKey);
  await expect(renewCertificate(repository)).rejects.toThrow('one is missing: put it back');
  rmSync(tls.root, { recursive: true });
  expect(() => listCertificates(repository)).toThrow("'zenith auth certificates --renew' makes one");
  await renewCertificate(repository);
  expect(listCertificates(repository)).toHaveLength(2);
});

test('somebody else’s certificate is used where it lies, shown, and renewed by them', async () => {
  const authority = await issueAuthority('theirs', Date.now(), 3_600_000);
  const pair = await issueCertificate(authority, ['127.0.0.1'], Date.now(), 3_600_000);
  const file = (name: string): string => join(bare.folder, name);
  writeFileSync(file('cert.pem'), pair.certificate);
  writeFileSync(file('key.pem'), pair.key);
  writeFileSync(file('ca.pem'), authority.certificate);
  const given = { certificate: file('cert.pem'), key: file('key.pem'), authorities: file('ca.pem') };
  const theirs = withTls(given);
  expect(tlsOptions(theirs)).toEqual(given);
  expect(listCertificates(theirs).map((one) => one.file)).toEqual([given.certificate, given.authorities]);
  await renewWhenDue(theirs);
  await expect(renewCertificate(theirs)).rejects.toMatchObject({ code: 'invalid-option' });
  expect(readFileSync(given.certificate, 'utf8')).toBe(pair.certificate);
});

test('a repository whose connections are plain says so', async () => {
  const plain = withTls(false);
  expect(tlsOptions(plain)).toBeUndefined();
  expect(() => listCertificates(plain)).toThrow("'zenith init --tls'");
  await expect(renewCertificate(plain)).rejects.toMatchObject({ code: 'tls-off' });
  await renewWhenDue(plain);
});
