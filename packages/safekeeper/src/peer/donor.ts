import { bearerHeaders, requestOver, type Tokens } from '@zenith/auth';
import { isId, parseLsn, parseTimelineId, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { WalStreamReader } from '@zenith/wire';
import * as v from 'valibot';
import { decodeControlFile } from '../control-file/codec.ts';
import { SafekeeperError } from '../errors.ts';
import type { CommitPoint, WalSource } from './peer.ts';

const commitPoints = v.array(
  v.strictObject({
    timeline: v.pipe(v.string(), v.check(isId), v.transform(parseTimelineId)),
    commitLsn: v.pipe(
      v.string(),
      v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
      v.transform((text): Lsn => parseLsn(text)),
    ),
  }),
);

/** Another safekeeper, which has a timeline. */
export interface DonorAddress {
  readonly id: number;
  readonly host: string;
  /** Of PostgreSQL's protocol. */
  readonly port: number;
  readonly httpPort: number;
}

/** A donor that is asked and from which no byte comes for so long is given up; so is one that does not accept a connection for it. How long an answer takes altogether has no bound: a donor under load is slow, and has the timeline all the same. Unit: milliseconds. */
const STALLED_AFTER_MS = 30_000;

/** Runs out when it was not put back for long enough. */
export interface StallTimer {
  /** Gives it the whole time again. */
  refresh(): unknown;
  /** Ends it. */
  close(): unknown;
}

const startStallTimer = (onStalled: () => void): StallTimer => setTimeout(onStalled, STALLED_AFTER_MS);

/** Longest answer that is read: the control file of a timeline that computes were started on 65,536 times is shorter, and so is what is said of 100,000 timelines. Unit: bytes. */
const ANSWER_LENGTH_MAX = 16 * 1024 * 1024;

/** What a timeline's control file on the donor would say now; undefined when the donor does not know the timeline. @param startTimer the donor is given up when that runs out. @throws SafekeeperError `peer-unavailable`, CorruptionError */
export async function readDonorControl(
  { id, host, httpPort }: DonorAddress,
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
  startTimer: (onStalled: () => void) => StallTimer = startStallTimer,
): Promise<AcceptorControl | undefined> {
  const path = `/v1/tenant/${tenant}/timeline/${timeline}/control`;
  const where = `safekeeper ${id} at ${host}:${httpPort}${path}`;
  try {
    const { status, bytes } = await get({ host, port: httpPort, path }, tokens, timeline, startTimer);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`HTTP status ${status}`);
    return decodeControlFile(bytes, where);
  } catch (error) {
    throw new SafekeeperError('peer-unavailable', `${where}: ${(error as Error).message}`, { cause: error });
  }
}

/** Up to where a donor knows the WAL of each timeline of a tenant to be committed. @throws SafekeeperError `peer-unavailable` */
export async function readCommitPoints(
  { id, host, httpPort }: DonorAddress,
  tokens: Tokens,
  tenant: TenantId,
): Promise<readonly CommitPoint[]> {
  const path = `/v1/tenant/${tenant}/commit-points`;
  try {
    const { status, bytes } = await get({ host, port: httpPort, path }, tokens, undefined);
    if (status !== 200) throw new Error(`HTTP status ${status}`);
    return v.parse(commitPoints, JSON.parse(Buffer.from(bytes).toString()));
  } catch (error) {
    throw new SafekeeperError(
      'peer-unavailable',
      `safekeeper ${id} at ${host}:${httpPort}${path}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function get(
  { host, port, path }: { readonly host: string; readonly port: number; readonly path: string },
  tokens: Tokens,
  timeline: TimelineId | undefined,
  startTimer: (onStalled: () => void) => StallTimer = startStallTimer,
): Promise<{ readonly status: number; readonly bytes: Uint8Array }> {
  const stalled = new AbortController();
  const timer = startTimer(() => stalled.abort(new Error('it stopped to answer')));
  return new Promise<{ readonly status: number; readonly bytes: Uint8Array }>((resolve, reject) => {
    const headers = bearerHeaders(tokens.token(timeline));
    const { signal } = stalled;
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    const sent = requestOver(tokens.trust, { host, port, path, headers, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      timer.refresh();
      response.on('data', (chunk: Buffer) => {
        timer.refresh();
        length += chunk.length;
        if (length > ANSWER_LENGTH_MAX)
          response.destroy(new Error(`an answer of more than ${ANSWER_LENGTH_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  }).finally(() => timer.close());
}

/**
 * Begins to read the committed WAL of a timeline from the donor.
 * @param startTimer the donor is given up when WAL that was asked for has not come and that runs out
 * @throws what {@link WalStreamReader.open} throws
 */
export async function openDonorWal(
  donor: DonorAddress,
  tokens: Tokens,
  tenant: TenantId,
  timeline: TimelineId,
  from: Lsn,
  startTimer: (onStalled: () => void) => StallTimer = startStallTimer,
): Promise<WalSource> {
  const { host, port } = donor;
  const parameters = {
    user: 'zenith',
    replication: 'true',
    application_name: 'zenith_safekeeper',
    options: `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`,
  };
  const reader = await WalStreamReader.open(
    { host, port, parameters, password: tokens.token(timeline), trust: tokens.trust, timeoutMs: STALLED_AFTER_MS },
    from,
  );
  return new DonorWal(donor, reader, startTimer);
}

/** The stream of a donor, which ends when the donor stands still. */
class DonorWal implements WalSource {
  readonly #donor: DonorAddress;
  readonly #reader: WalStreamReader;
  readonly #startTimer: (onStalled: () => void) => StallTimer;

  constructor(donor: DonorAddress, reader: WalStreamReader, startTimer: (onStalled: () => void) => StallTimer) {
    this.#donor = donor;
    this.#reader = reader;
    this.#startTimer = startTimer;
  }

  /** @throws SafekeeperError `peer-unavailable` */
  async next(): Promise<Uint8Array> {
    let stalled = false;
    const timer = this.#startTimer(() => {
      stalled = true;
      this.close();
    });
    try {
      return await this.#reader.next();
    } catch (error) {
      const { id, host, port } = this.#donor;
      const reason = stalled ? 'it sends no more of the WAL that it has' : (error as Error).message;
      throw new SafekeeperError('peer-unavailable', `safekeeper ${id} at ${host}:${port}: ${reason}`, { cause: error });
    } finally {
      timer.close();
    }
  }

  close(): void {
    this.#reader.close();
  }
}
