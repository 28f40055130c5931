export { bearerHeaders, bearerToken } from './bearer.ts';
export { TOKEN_LENGTH_MAX } from './claims.ts';
export { AuthError, httpStatusOf, type AuthErrorCode } from './errors.ts';
export { Gate, type GateLog } from './gate.ts';
export { keyFileName, keyId, newKey, readPrivateKey, type NewKey } from './key-folder.ts';
export { mintToken } from './mint.ts';
export {
  AuthOptionsSchema,
  certificateOf,
  gateOf,
  TlsOptionsSchema,
  tokensOf,
  type AuthOptions,
  type TlsOptions,
} from './options.ts';
export {
  isAllowed,
  requireAllowed,
  ROLES,
  type Action,
  type Bearer,
  type Identity,
  type Role,
  type Target,
} from './permissions.ts';
export { NO_TOKENS, SERVICE_TOKEN_FILE, timelineTokenFile, TokenFolder, type Tokens } from './token-folder.ts';
export { issueAuthority, issueCertificate, type CertificatePair } from './transport/issue-certificates.ts';
export { ServerCertificate, serverFactoryOf, type CertificateFiles } from './transport/server-certificate.ts';
export { agentOver, connectTo, requestOver, Trust, type ServiceAddress } from './transport/trust.ts';
