import { bearerHeaders, type Tokens } from '@zenith/auth';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { WalStreamReader } from '@zenith/wire';
import { decodeControlFile } from '../control-file/codec.ts';
import { SafekeeperError } from '../errors.ts';

/** Another safekeeper, which has a timeline. */
export interface DonorAddress {
  readonly id: number;
  readonly host: string;
  /** Of PostgreSQL's protocol. */
  readonly port: number;
  readonly httpPort: number;
}

/** Bound on one question, and on connecting. Unit: milliseconds. */
const TIMEOUT_MS = 5_000;

/** Longest control file that is read: that of a timeline that computes were started on 65,536 times. Unit: bytes. */
const CONTROL_LENGTH_MAX = 8 * 1024 * 1024;

/** What a timeline's control file on the donor would say now; undefined when the donor does not know the timeline. @throws SafekeeperError `peer-unavailable`, CorruptionError */
export async function readDonorControl(
  { id, host, httpPort }: DonorAddress,
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
): Promise<AcceptorControl | undefined> {
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${httpPort}/v1/tenant/${tenant}/timeline/${timeline}/control`;
  try {
    const response = await fetch(url, {
      headers: bearerHeaders(tokens.token(timeline)),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const bytes = await readBody(response);
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return decodeControlFile(bytes, url);
  } catch (error) {
    throw new SafekeeperError('peer-unavailable', `safekeeper ${id} at ${url}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function readBody(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > CONTROL_LENGTH_MAX) throw new Error(`an answer of more than ${CONTROL_LENGTH_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Begins to read the committed WAL of a timeline from the donor. @throws what {@link WalStreamReader.open} throws */
export function openDonorWal(
  { host, port }: DonorAddress,
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
  from: Lsn,
): Promise<WalStreamReader> {
  const parameters = {
    user: 'zenith',
    replication: 'true',
    application_name: 'zenith_safekeeper',
    options: `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`,
  };
  return WalStreamReader.open(
    { host, port, parameters, password: tokens.token(timeline), timeoutMs: TIMEOUT_MS },
    from,
  );
}
