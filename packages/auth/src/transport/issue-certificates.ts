import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type * as X509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** Clocks of other machines may be a little behind. Unit: milliseconds. */
const CLOCK_SKEW_MS = 5 * 60 * 1000;

/** A certificate and its private key, PEM. */
export interface CertificatePair {
  readonly certificate: string;
  /** PKCS #8. To be kept secret. */
  readonly key: string;
}

/** Makes an authority that certifies servers and nothing else. @param name its common name */
export async function issueAuthority(name: string, nowMs: number, lifetimeMs: number): Promise<CertificatePair> {
  const x509 = await load();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + lifetimeMs),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: pemOf(keys.privateKey) };
}

/** Makes a certificate by which a server is known under any of `hosts`, names and IP addresses; it does not outlive the authority. */
export async function issueCertificate(
  authority: CertificatePair,
  hosts: readonly string[],
  nowMs: number,
  lifetimeMs: number,
): Promise<CertificatePair> {
  const x509 = await load();
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await newKeys();
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' }),
    ALGORITHM,
    false,
    ['sign'],
  );
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: ['Zenith'] }],
    issuer: issuer.subjectName,
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(Math.min(nowMs + lifetimeMs, issuer.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }) as const),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: pem(certificate), key: pemOf(keys.privateKey) };
}

/** Loaded only where certificates are made: it takes half a second. */
async function load(): Promise<typeof X509> {
  await import('reflect-metadata'); // what @peculiar/x509 is built on asks for it
  return import('@peculiar/x509');
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function pem(certificate: X509.X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

function pemOf(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString();
}
