import { bearerHeaders, requestOver, type Tokens } from '@zenith/auth';
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
  const path = `/v1/tenant/${tenant}/timeline/${timeline}/control`;
  const where = `safekeeper ${id} at ${host}:${httpPort}${path}`;
  try {
    const { status, bytes } = await get({ host, port: httpPort, path }, tokens, timeline);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`HTTP status ${status}`);
    return decodeControlFile(bytes, where);
  } catch (error) {
    throw new SafekeeperError('peer-unavailable', `${where}: ${(error as Error).message}`, { cause: error });
  }
}

function get(
  { host, port, path }: { readonly host: string; readonly port: number; readonly path: string },
  tokens: Tokens,
  timeline: TimelineId,
): Promise<{ readonly status: number; readonly bytes: Uint8Array }> {
  return new Promise((resolve, reject) => {
    const headers = bearerHeaders(tokens.token(timeline));
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const sent = requestOver(tokens.trust, { host, port, path, headers, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > CONTROL_LENGTH_MAX)
          response.destroy(new Error(`an answer of more than ${CONTROL_LENGTH_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
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
    { host, port, parameters, password: tokens.token(timeline), trust: tokens.trust, timeoutMs: TIMEOUT_MS },
    from,
  );
}
