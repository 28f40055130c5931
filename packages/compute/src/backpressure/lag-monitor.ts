import type { Tokens } from '@zenith/auth';
import { parseLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { PostgresClient } from '@zenith/wire';
import {
  SAFEKEEPER_CONNECT_TIMEOUT_MS,
  safekeeperParameters,
  type SafekeeperAddress,
} from '../wal-proposer/safekeeper-address.ts';
import { LagHistory } from './lag-history.ts';
import { commitDelayMs, NO_LAG, type BackpressureLimits, type Lag } from './limits.ts';

/** How often safekeepers are asked. Unit: milliseconds. */
const INTERVAL_MS = 1_000;

/** What a monitor watches. */
export interface LagMonitorOptions {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** What safekeepers are shown. */
  readonly tokens: Tokens;
  readonly limits: BackpressureLimits;
  /** The safekeepers of now. */
  readonly safekeepers: () => readonly SafekeeperAddress[];
  readonly commitLsn: () => Lsn;
  /** Told after each look how long commits are to be held back. Unit: milliseconds. */
  readonly onDelay: (delayMs: number) => void;
}

/** What safekeepers say of who follows the WAL. */
interface Reached {
  readonly ingestedLsn: Lsn;
  /** Null where nothing is archived. */
  readonly backupLsn: Lsn | null;
}

/** Asks the safekeepers once a second how far pageserver and archive are, and derives from it how long commits are held back. One safekeeper that answers is enough; while none does, nothing is held back. */
export class LagMonitor {
  readonly #options: LagMonitorOptions;
  readonly #history = new LagHistory();
  readonly #clients = new Map<SafekeeperAddress['id'], PostgresClient>();
  readonly #timer: NodeJS.Timeout;
  #looking = false;
  #closed = false;
  #ingest = NO_LAG;
  #archive = NO_LAG;

  /** Begins at once. */
  constructor(options: LagMonitorOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** How far the pageserver lagged at the last look. */
  get ingestLag(): Lag {
    return this.#ingest;
  }

  /** How far the archive lagged at the last look. */
  get archiveLag(): Lag {
    return this.#archive;
  }

  /** Ends all connections. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const client of this.#clients.values()) client.destroy();
    this.#clients.clear();
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { safekeepers, commitLsn, limits, onDelay } = this.#options;
    this.#history.note(performance.now(), commitLsn());
    const asked = await Promise.allSettled(safekeepers().map((address) => this.#ask(address)));
    this.#looking = false;
    if (this.#closed) return;
    const answers = asked.filter((one) => one.status === 'fulfilled').map((one) => one.value);
    const now = performance.now();
    const lag = (reached: readonly (Lsn | null)[]): Lag => {
      const known = reached.filter((lsn) => lsn !== null);
      return known.length === 0 ? NO_LAG : this.#history.lag(now, Math.max(...known) as Lsn);
    };
    this.#ingest = lag(answers.map(({ ingestedLsn }) => ingestedLsn));
    this.#archive = lag(answers.map(({ backupLsn }) => backupLsn));
    onDelay(commitDelayMs(limits, this.#ingest, this.#archive));
  }

  async #ask(address: SafekeeperAddress): Promise<Reached> {
    try {
      const client = await this.#client(address);
      const { columns, rows } = await client.query('TIMELINE_STATUS');
      const value = (name: string): string | null => rows[0]?.[columns.indexOf(name)] ?? null;
      const backup = value('backup_lsn');
      return {
        ingestedLsn: parseLsn(value('ingested_lsn') ?? ''),
        backupLsn: backup === null ? null : parseLsn(backup),
      };
    } catch (error) {
      this.#clients.get(address.id)?.destroy();
      this.#clients.delete(address.id);
      throw error;
    }
  }

  async #client({ id, host, port }: SafekeeperAddress): Promise<PostgresClient> {
    const open = this.#clients.get(id);
    if (open !== undefined) return open;
    const { tenant, timeline, tokens } = this.#options;
    const parameters = { ...safekeeperParameters(tenant, timeline), application_name: 'zenith_backpressure' };
    const client = await PostgresClient.connect({
      host,
      port,
      parameters,
      password: tokens.token(timeline),
      trust: tokens.trust,
      timeoutMs: SAFEKEEPER_CONNECT_TIMEOUT_MS,
    });
    if (this.#closed) client.destroy();
    else this.#clients.set(id, client);
    return client;
  }
}
