import { formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { Configuration, ConfiguredReport, Term, TimelineIdentity } from '@zenith/consensus';
import * as v from 'valibot';
import type { Operator } from '../credentials/operator.ts';
import { timelineId } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import {
  checkAnswer,
  configuredReport,
  readHealth,
  restoredTimeline,
  safekeeperTimeline,
  type SafekeeperTimeline,
} from './answers.ts';
import { callHttp, ServiceRefusal } from './http-json.ts';

/** Unit: milliseconds. */
const TIMEOUT_MS = 5_000;

/** Removing all WAL of a timeline from the archive, a thousand objects at a time. Unit: milliseconds. */
const REMOVE_TIMEOUT_MS = 120_000;

/** So many ids are one request. */
const MARKED_MAX = 256;

/** Copying all WAL of a timeline that is kept. Unit: milliseconds. */
const PULL_TIMEOUT_MS = 3_600_000;

/** Where a safekeeper is, as others are told. */
export interface SafekeeperAddress {
  readonly id: number;
  readonly host: string;
  /** Of PostgreSQL's protocol. */
  readonly port: number;
  readonly httpPort: number;
}

/** One safekeeper's management interface. Every method throws what {@link callHttp} throws. */
export class SafekeeperClient {
  readonly #service: string;
  readonly #host: string;
  readonly #port: number;
  readonly #tenant: TenantId;
  readonly #operator: Operator;

  /** @param id which of the repository's safekeepers */
  constructor({ config, operator }: Pick<Repository, 'config' | 'operator'>, id: number, httpPort: number) {
    this.#operator = operator;
    this.#service = `safekeeper ${id}`;
    this.#host = config.host;
    this.#port = httpPort;
    this.#tenant = config.tenant;
  }

  /** Returns when it is up; undefined when it is well too, else what ails it. */
  async health(timeoutMs: number): Promise<string | undefined> {
    return readHealth(this.#service, await this.#get('/healthz', timeoutMs));
  }

  /** One timeline; undefined when no WAL of it ever came here. */
  async timeline(id: TimelineId): Promise<SafekeeperTimeline | undefined> {
    try {
      return checkAnswer(
        this.#service,
        safekeeperTimeline,
        await this.#get(`/v1/tenant/${this.#tenant}/timeline/${id}`, TIMEOUT_MS),
      );
    } catch (error) {
      if (error instanceof ServiceRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  /** All timelines of the tenant that WAL came here for. */
  async timelines(): Promise<SafekeeperTimeline[]> {
    const all = checkAnswer(this.#service, v.array(safekeeperTimeline), await this.#get('/v1/timelines', TIMEOUT_MS));
    return all.filter((timeline) => timeline.tenant === this.#tenant);
  }

  /** Tells it where the safekeepers are by now; it may be among them. It copies from the others what it missed while no compute runs. */
  async learnPeers(peers: readonly SafekeeperAddress[]): Promise<void> {
    await this.#post('/v1/peers', { peers }, TIMEOUT_MS);
  }

  /** Removes a timeline for good, here and in the archive: it is never made there again. Harmless to repeat, and when there is none. */
  async removeTimeline(id: TimelineId): Promise<void> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}`;
    await this.#call('DELETE', path, undefined, REMOVE_TIMEOUT_MS);
  }

  /** The timelines that are never made there again. */
  async removedTimelines(): Promise<TimelineId[]> {
    const path = `/v1/tenant/${this.#tenant}/removed`;
    return checkAnswer(this.#service, v.array(timelineId), await this.#get(path, TIMEOUT_MS));
  }

  /** Has it never make these timelines again; what it has of them is gone. The archive stays as it is. Harmless to repeat. */
  async markRemoved(timelines: readonly TimelineId[]): Promise<void> {
    for (let from = 0; from < timelines.length; from += MARKED_MAX)
      await this.#post(
        `/v1/tenant/${this.#tenant}/removed`,
        { timelines: timelines.slice(from, from + MARKED_MAX) },
        REMOVE_TIMEOUT_MS,
      );
  }

  /** Has it copy a timeline from the one of `donors` that has most of it; nothing to do for it when it has the timeline. */
  async pull(id: TimelineId, donors: readonly SafekeeperAddress[]): Promise<void> {
    await this.#post(`/v1/tenant/${this.#tenant}/timeline/${id}/pull`, { donors }, PULL_TIMEOUT_MS);
  }

  /** Has it make a timeline that is lost everywhere out of the archive, unless the WAL there ends before `atLeastLsn`. @returns where that WAL ends, undefined when there is none */
  async restore(
    { timeline, pgMajor, systemId, segmentSize, timelineStartLsn }: TimelineIdentity,
    configuration: Configuration,
    atLeastLsn: Lsn,
  ): Promise<{ readonly endLsn: Lsn | undefined; readonly restored: boolean }> {
    const body = {
      pgMajor,
      systemId,
      segmentSize,
      timelineStartLsn: formatLsn(timelineStartLsn),
      configuration,
      atLeastLsn: formatLsn(atLeastLsn),
    };
    const path = `/v1/tenant/${this.#tenant}/timeline/${timeline}/restore`;
    const { endLsn, restored } = checkAnswer(
      this.#service,
      restoredTimeline,
      await this.#post(path, body, PULL_TIMEOUT_MS),
    );
    return { endLsn: endLsn ?? undefined, restored };
  }

  /** Installs a configuration and a term for a timeline, which it makes when it has none. @returns where it is then, from stable storage */
  async configure(
    { timeline, pgMajor, systemId, segmentSize, timelineStartLsn }: TimelineIdentity,
    configuration: Configuration,
    term: Term,
  ): Promise<ConfiguredReport> {
    const body = {
      pgMajor,
      systemId,
      segmentSize,
      timelineStartLsn: formatLsn(timelineStartLsn),
      configuration,
      term,
    };
    const path = `/v1/tenant/${this.#tenant}/timeline/${timeline}/configuration`;
    return checkAnswer(this.#service, configuredReport, await this.#post(path, body, TIMEOUT_MS));
  }

  #post(path: string, body: unknown, timeoutMs: number): Promise<unknown> {
    return this.#call('POST', path, body, timeoutMs);
  }

  #get(path: string, timeoutMs: number): Promise<unknown> {
    return this.#call('GET', path, undefined, timeoutMs);
  }

  async #call(method: 'GET' | 'POST' | 'DELETE', path: string, body: unknown, timeoutMs: number): Promise<unknown> {
    const token = await this.#operator.token();
    return callHttp({
      service: this.#service,
      startedBy: 'zenith start',
      host: this.#host,
      port: this.#port,
      token,
      trust: this.#operator.trust,
      method,
      path,
      body,
      timeoutMs,
    });
  }
}
