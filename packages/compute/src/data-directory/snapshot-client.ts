import { agentOver, bearerHeaders, requestOver, type Tokens } from '@zenith/auth';
import { formatLsn, parseLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { decodeSnapshot, type SnapshotPart } from '@zenith/wire';
import type { Agent, IncomingMessage } from 'node:http';
import { ComputeError, messageOf } from '../errors.ts';

/** How much of an error's body is read. Unit: bytes. */
const ERROR_BODY_MAX = 16 * 1024;

/** The pageserver asks for this much more time than it is given, so that its answer comes before the socket times out. Unit: milliseconds. */
const TIMEOUT_MARGIN_MS = 2_000;

/** Where the pageserver's HTTP interface is and which timeline is wanted. */
export interface SnapshotClientOptions {
  readonly host: string;
  readonly port: number;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** What the pageserver is shown. */
  readonly tokens: Tokens;
}

/** The pageserver's HTTP interface as a starting compute uses it: see to it that X is ingested, then take the snapshot at X. */
export class SnapshotClient {
  readonly #options: SnapshotClientOptions;
  readonly #agent: Agent;

  constructor(options: SnapshotClientOptions) {
    this.#options = options;
    this.#agent = agentOver(options.tokens.trust, { keepAlive: true, maxSockets: 3 });
  }

  /**
   * Tells the pageserver that there may be WAL for it, and waits until it has ingested all before `at`. Nobody can have committed anything beyond `at`, so a pageserver that has more has what the safekeepers lost. Nor can a branch begin
   * beyond `at`: what would be written from there on would become that branch's history.
   * @throws ComputeError `pageserver-unavailable`, `wal-lost`
   */
  async waitFor(at: Lsn, timeoutMs: number): Promise<void> {
    // Most often it has that WAL already, and then nobody needs to wait until it has looked for more. Where it cannot be asked, the other request tells.
    this.#post('wal-source', {}, timeoutMs).then(
      (response) => response.resume(),
      () => undefined,
    );
    const response = await this.#post('wait', { lsn: formatLsn(at), timeoutMs }, timeoutMs);
    const text = await readText(response);
    const ingestedLsn = lsnIn(text, 'lastRecordLsn');
    const branchedLsn = lsnIn(text, 'lastBranchLsn');
    if (ingestedLsn !== undefined && ingestedLsn > at)
      throw new ComputeError(
        'wal-lost',
        `the safekeepers' WAL ends at ${formatLsn(at)}, but the pageserver has taken in WAL up to ${formatLsn(ingestedLsn)}: safekeepers have lost what was committed; see 'zenith safekeeper restore'`,
      );
    if (branchedLsn !== undefined && branchedLsn > at)
      throw new ComputeError(
        'wal-lost',
        `the safekeepers' WAL ends at ${formatLsn(at)}, but a branch begins at ${formatLsn(branchedLsn)}: safekeepers have lost what was committed, and what would be written now would be that branch's history; see 'zenith safekeeper restore'`,
      );
  }

  /**
   * The snapshot at `at`, part by part as it arrives. The pageserver is asked at once, so that it is at work while {@link waitFor} waits; should it give up before that has succeeded, it is asked again when the first
   * part is wanted. @throws ComputeError `pageserver-unavailable`, CorruptionError
   */
  snapshot(at: Lsn, timeoutMs: number): AsyncGenerator<SnapshotPart> {
    const ask = (): Promise<IncomingMessage> =>
      this.#send('GET', `snapshot?lsn=${encodeURIComponent(formatLsn(at))}`, undefined, timeoutMs);
    const asked = ask();
    asked.catch(() => undefined); // whoever wants the parts asks again
    return readParts(() => asked.catch(ask));
  }

  /** Keeps `at` readable for a while. @param holder who reads; a later lease takes the place of its earlier @throws ComputeError `pageserver-unavailable` */
  async lease(holder: string, at: Lsn, durationMs: number, timeoutMs: number): Promise<void> {
    await this.#post('lease', { holder, lsn: formatLsn(at), durationMs }, timeoutMs);
  }

  /** Ends a lease; harmless when there is none. @throws ComputeError `pageserver-unavailable` */
  async releaseLease(holder: string, timeoutMs: number): Promise<void> {
    const response = await this.#send('DELETE', `lease/${holder}`, undefined, timeoutMs);
    response.resume();
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  #post(action: string, body: object, timeoutMs: number): Promise<IncomingMessage> {
    return this.#send('POST', action, JSON.stringify(body), timeoutMs);
  }

  #send(method: string, action: string, body: string | undefined, timeoutMs: number): Promise<IncomingMessage> {
    const { host, port, tenant, timeline, tokens } = this.#options;
    const where = `pageserver at ${host}:${port}`;
    return new Promise((resolve, reject) => {
      const headers = {
        ...bearerHeaders(tokens.token(timeline)),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      };
      const sent = requestOver(tokens.trust, {
        host,
        port,
        method,
        agent: this.#agent,
        path: `/v1/tenant/${tenant}/timeline/${timeline}/${action}`,
        headers,
        timeout: timeoutMs + TIMEOUT_MARGIN_MS,
      });
      sent.once('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      sent.once('error', (error) =>
        reject(
          new ComputeError('pageserver-unavailable', `the ${where} cannot be used: ${messageOf(error)}`, {
            cause: error,
          }),
        ),
      );
      sent.once('response', (response) => {
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) return resolve(response);
        void readText(response).then((text) =>
          reject(new ComputeError('pageserver-unavailable', `the ${where} refused (${status}): ${messageIn(text)}`)),
        );
      });
      sent.end(body);
    });
  }
}

async function* readParts(answer: () => Promise<IncomingMessage>): AsyncGenerator<SnapshotPart> {
  const response = await answer();
  try {
    yield* decodeSnapshot(response);
  } catch (error) {
    if (error instanceof Error && 'code' in error)
      throw new ComputeError('pageserver-unavailable', `the pageserver's snapshot broke off: ${error.message}`, {
        cause: error,
      });
    throw error;
  } finally {
    response.destroy();
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > ERROR_BODY_MAX) break;
    }
  } catch {
    return text; // the status says enough
  }
  return text;
}

/** An LSN in the description of a timeline; undefined when it does not say. */
function lsnIn(text: string, field: 'lastRecordLsn' | 'lastBranchLsn'): Lsn | undefined {
  const found = new RegExp(`"${field}":"([0-9A-F]{1,8}/[0-9A-F]{1,8})"`).exec(text)?.[1];
  return found === undefined ? undefined : parseLsn(found);
}

/** The message of an error body `{code, message}`, or the body itself. */
function messageIn(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string')
      return body.message;
  } catch {
    return text.slice(0, 200); // not JSON: some other server
  }
  return text.slice(0, 200);
}
