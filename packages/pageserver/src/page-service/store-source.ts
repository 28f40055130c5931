import type { Lsn } from '@zenith/base';
import { ObjectKind } from '../key-space/object.ts';
import type { TimelineStore } from '../timeline/timeline-store.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { hasDataChecksums, setPageChecksums } from './data-checksums.ts';
import type { PageSource, PageTimeline } from './page-source.ts';

/** Serves the pages of the timelines of a store. */
export function storePageSource(store: TimelineStore): PageSource {
  return {
    timeline(tenant, timeline) {
      const found = store.find(tenant, timeline);
      return found === undefined ? undefined : new StorePageTimeline(found);
    },
  };
}

class StorePageTimeline implements PageTimeline {
  readonly #timeline: Timeline;
  /** Undefined until the first pages were read: only then it is sure that it can be known. */
  #dataChecksums: boolean | undefined;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  waitForLsn(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void> {
    return this.#timeline.waitForLsn(lsn, options);
  }

  remedy(error: unknown, read: () => void): Promise<void> | undefined {
    return this.#timeline.hasRemedy(error) ? this.#timeline.fetching(read) : undefined;
  }

  readRelationPages(
    spc: number,
    db: number,
    rel: number,
    fork: number,
    firstBlock: number,
    count: number,
    lsn: Lsn,
    out: Uint8Array,
    outOffset: number,
  ): void {
    const object = this.#timeline.find(ObjectKind.relation, spc, db, rel, fork);
    this.#timeline.readPages(object, firstBlock, count, lsn, out, outOffset);
    this.#dataChecksums ??= hasDataChecksums(this.#timeline, lsn);
    if (this.#dataChecksums) setPageChecksums(out, outOffset, firstBlock, count);
  }
}
