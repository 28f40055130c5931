import { AssertionError } from '@zenith/base';
import type { TimelineStore } from '../timeline/timeline-store.ts';

/**
 * Makes what was ingested durable at least so often, also while too little comes to fill a layer: it bounds what is ingested again after a crash, and lets the sources of WAL drop
 * theirs.
 */
export class PeriodicFlush {
  readonly #store: TimelineStore;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;

  /** @param intervalMs unit: ms */
  constructor(store: TimelineStore, intervalMs: number) {
    this.#store = store;
    this.#timer = setInterval(() => {
      this.#running ??= this.#flush().finally(() => {
        this.#running = undefined;
      });
    }, intervalMs);
  }

  /** Stops; resolves when no flush of its own is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** One timeline after the other. A flush that fails is logged and tried again by the timeline itself. */
  async #flush(): Promise<void> {
    for (const timeline of this.#store.list()) {
      if (timeline.diskConsistentLsn >= timeline.lastRecordLsn) continue;
      await timeline.flush().catch((error: unknown) => {
        if (error instanceof AssertionError) throw error;
      });
    }
  }
}
