import { AssertionError, type TenantId, type TimelineId } from '@zenith/base';
import type { StorageLog } from '../timeline/shared.ts';
import type { TimelineStore } from '../timeline/timeline-store.ts';
import type { CollectionResult } from './collect.ts';
import type { GcMetrics } from './metrics.ts';
import type { HistoryPolicy } from './plan.ts';

/** What a collector is made of. */
export interface CollectorSetup {
  readonly store: TimelineStore;
  readonly log: StorageLog;
  readonly metrics: GcMetrics;
  /** The time of day. Unit: ms since 1970. */
  readonly wallClock: () => number;
  /** How often history is looked through. Unit: ms. */
  readonly intervalMs: number;
}

/** Drops history that is not kept, of all timelines from time to time and of one when it is asked to. */
export class Collector {
  /** How much history is kept from now on. */
  policy: HistoryPolicy;
  readonly #setup: CollectorSetup;
  readonly #timer: NodeJS.Timeout;
  #isRunning = false;
  #stopped = false;

  constructor(setup: CollectorSetup, policy: HistoryPolicy) {
    this.#setup = setup;
    this.policy = policy;
    this.#timer = setInterval(() => {
      if (!this.#isRunning) void this.#run();
    }, setup.intervalMs);
  }

  /** Collects one timeline now. @param force also when little can be dropped @throws as {@link TimelineStore.collect} */
  async collect(tenant: TenantId, timeline: TimelineId, force: boolean): Promise<CollectionResult> {
    const { store, metrics, wallClock } = this.#setup;
    try {
      const result = await store.collect(tenant, timeline, this.policy, force, wallClock);
      metrics.removedLayers.inc(result.removedLayers);
      metrics.removedBytes.inc(result.removedBytes);
      metrics.addedBytes.inc(result.addedBytes);
      return result;
    } catch (error) {
      metrics.failures.inc();
      throw error;
    }
  }

  /** Begins nothing more. A collection under way ends with its timeline. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  async #run(): Promise<void> {
    const { store, log } = this.#setup;
    this.#isRunning = true;
    for (const { tenant, timeline } of store.list()) {
      if (this.#stopped) return;
      try {
        await this.collect(tenant, timeline, false);
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        if (!this.#stopped)
          log.warn({ tenant, timeline, err: error }, 'history could not be collected; it is tried again');
      }
    }
    this.#isRunning = false;
  }
}
