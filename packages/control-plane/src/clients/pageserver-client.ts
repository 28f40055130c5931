import { formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import * as v from 'valibot';
import type { Operator } from '../credentials/operator.ts';
import type { HistoryPolicy } from '../history/history-policy.ts';
import type { Repository } from '../repository/repository.ts';
import {
  checkAnswer,
  collectedAnswer,
  leaseAnswer,
  lsnAtTimeAnswer,
  pageAnswer,
  pageHistoryAnswer,
  pageserverTimeline,
  readHealth,
  timelineLayers,
  timelineSizes,
  type Lease,
  type PageAnswer,
  type PageHistoryAnswer,
  type PageserverTimeline,
  type TimelineLayers,
  type TimelineSizes,
} from './answers.ts';
import { callHttp, ServiceRefusal } from './http-json.ts';

const SERVICE = 'the pageserver';

/** Unit: milliseconds. */
const TIMEOUT_MS = 10_000;

/** Removing may list and remove thousands of objects. Unit: milliseconds. */
const REMOVE_TIMEOUT_MS = 60_000;

/** A collection reads and writes what is left of a timeline. Unit: milliseconds. */
const COLLECT_TIMEOUT_MS = 3_600_000;

/** What a collection of history did. */
export type Collected = v.InferOutput<typeof collectedAnswer>;

/** A branch to be made on the pageserver. */
export interface NewTimeline {
  readonly timelineId: TimelineId;
  readonly ancestorTimelineId: TimelineId;
  readonly ancestorLsn: Lsn;
}

/** Names a page of a timeline at an LSN. */
export interface PageAddress {
  readonly timeline: TimelineId;
  readonly spc: number;
  readonly db: number;
  /** Relfilenode. */
  readonly rel: number;
  readonly fork: number;
  readonly block: number;
  readonly lsn: Lsn;
}

/** The pageserver's management interface, for one tenant. Every method throws what {@link callHttp} throws. */
export class PageserverClient {
  readonly #host: string;
  readonly #port: number;
  readonly #tenant: TenantId;
  readonly #operator: Operator;

  constructor({ config, operator }: Pick<Repository, 'config' | 'operator'>) {
    this.#operator = operator;
    this.#host = config.host;
    this.#port = config.pageserver.httpPort;
    this.#tenant = config.tenant;
  }

  /** Returns when it is up; undefined when it is well too, else what ails it. */
  async health(timeoutMs: number): Promise<string | undefined> {
    return readHealth(SERVICE, await this.#call('GET', '/healthz', undefined, timeoutMs));
  }

  /** All timelines of the tenant. */
  async timelines(): Promise<PageserverTimeline[]> {
    return checkAnswer(
      SERVICE,
      v.array(pageserverTimeline),
      await this.#call('GET', `/v1/tenant/${this.#tenant}/timeline`),
    );
  }

  /** One timeline; undefined when the pageserver has none of this id. */
  async timeline(id: TimelineId): Promise<PageserverTimeline | undefined> {
    try {
      return checkAnswer(
        SERVICE,
        pageserverTimeline,
        await this.#call('GET', `/v1/tenant/${this.#tenant}/timeline/${id}`),
      );
    } catch (error) {
      if (error instanceof ServiceRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Where the values of a timeline are. */
  async layers(id: TimelineId): Promise<TimelineLayers> {
    return checkAnswer(
      SERVICE,
      timelineLayers,
      await this.#call('GET', `/v1/tenant/${this.#tenant}/timeline/${id}/layers`),
    );
  }

  /** Creates a branch. Creating the same one again is harmless. */
  async createTimeline({ timelineId, ancestorTimelineId, ancestorLsn }: NewTimeline): Promise<void> {
    await this.#call('POST', `/v1/tenant/${this.#tenant}/timeline`, {
      timelineId,
      ancestorTimelineId,
      ancestorLsn: formatLsn(ancestorLsn),
    });
  }

  /** Returns when it has ingested the timeline up to `lsn`. @param timeoutMs how long it may take. Unit: ms */
  async waitForLsn(id: TimelineId, lsn: Lsn, timeoutMs: number): Promise<void> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}/wait`;
    await this.#call('POST', path, { lsn: formatLsn(lsn), timeoutMs }, timeoutMs + TIMEOUT_MS);
  }

  /** Where a timeline was at a time; it has refused with `time-before-history` or `time-after-last-commit` when no commit tells. @param time unit: microseconds since 1970 */
  async lsnAtTime(id: TimelineId, time: number): Promise<{ timeline: TimelineId; lsn: Lsn; commitTime: number }> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}/lsn-at?time=${time}`;
    return checkAnswer(SERVICE, lsnAtTimeAnswer, await this.#call('GET', path));
  }

  /** Tells it that safekeepers may have WAL of this timeline that it does not follow yet. */
  async lookForWal(id: TimelineId): Promise<void> {
    await this.#call('POST', `/v1/tenant/${this.#tenant}/timeline/${id}/wal-source`, {});
  }

  /** From now on it takes WAL from these safekeepers and no others. */
  async replaceSafekeepers(
    safekeepers: readonly {
      readonly id: number;
      readonly host: string;
      readonly port: number;
      readonly httpPort: number;
    }[],
  ): Promise<void> {
    await this.#call('POST', '/v1/safekeepers', { safekeepers });
  }

  /** Removes a timeline, on its disk and in remote storage; harmless when there is none. */
  async removeTimeline(id: TimelineId): Promise<void> {
    await this.#call('DELETE', `/v1/tenant/${this.#tenant}/timeline/${id}`, undefined, REMOVE_TIMEOUT_MS);
  }

  /** One page. */
  async page(address: PageAddress): Promise<PageAnswer> {
    return checkAnswer(SERVICE, pageAnswer, await this.#call('GET', this.#pagePath('page', address)));
  }

  /** The newest `limit` values that made a page up to the LSN; a page that was never written has none, which is an error. */
  async pageHistory(address: PageAddress, limit: number): Promise<PageHistoryAnswer> {
    const path = `${this.#pagePath('page-history', address)}&limit=${limit}`;
    return checkAnswer(SERVICE, pageHistoryAnswer, await this.#call('GET', path));
  }

  #pagePath(what: string, { timeline, spc, db, rel, fork, block, lsn }: PageAddress): string {
    const query = `spc=${spc}&db=${db}&rel=${rel}&fork=${fork}&block=${block}&lsn=${formatLsn(lsn)}`;
    return `/v1/tenant/${this.#tenant}/timeline/${timeline}/${what}?${query}`;
  }

  /** How large a timeline is. */
  async sizes(id: TimelineId): Promise<TimelineSizes> {
    return checkAnswer(
      SERVICE,
      timelineSizes,
      await this.#call('GET', `/v1/tenant/${this.#tenant}/timeline/${id}/sizes`),
    );
  }

  /** Keeps an LSN of a timeline readable for a time. @param durationMs unit: ms */
  async lease(id: TimelineId, holder: string, lsn: Lsn, durationMs: number): Promise<Lease> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}/lease`;
    return checkAnswer(
      SERVICE,
      leaseAnswer,
      await this.#call('POST', path, { holder, lsn: formatLsn(lsn), durationMs }),
    );
  }

  /** The leases of a timeline. */
  async leases(id: TimelineId): Promise<readonly Lease[]> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}/lease`;
    return checkAnswer(SERVICE, v.object({ leases: v.array(leaseAnswer) }), await this.#call('GET', path)).leases;
  }

  /** Ends a lease; harmless when there is none. */
  async releaseLease(id: TimelineId, holder: string): Promise<void> {
    await this.#call('DELETE', `/v1/tenant/${this.#tenant}/timeline/${id}/lease/${encodeURIComponent(holder)}`);
  }

  /** Drops what is not kept of a timeline's history. */
  async collect(id: TimelineId): Promise<Collected> {
    const path = `/v1/tenant/${this.#tenant}/timeline/${id}/gc`;
    return checkAnswer(SERVICE, collectedAnswer, await this.#call('POST', path, {}, COLLECT_TIMEOUT_MS));
  }

  /** How much history is kept from now on, until it is started again. */
  async setHistory(policy: HistoryPolicy): Promise<void> {
    await this.#call('PUT', '/v1/history', { timeMs: policy.timeMs, bytes: policy.bytes });
  }

  async #call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: unknown,
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    const token = await this.#operator.token();
    const { trust } = this.#operator;
    const to = { service: SERVICE, startedBy: 'zenith start', host: this.#host, port: this.#port };
    return callHttp({ ...to, token, trust, method, path, body, timeoutMs });
  }
}
