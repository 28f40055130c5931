import type { Lsn, TenantId, TimelineId } from '@zenith/base';

/** What the page service needs of a timeline. */
export interface PageTimeline {
  /** Resolves when everything up to `lsn` can be read, here and in the ancestors. @throws ZenithError when that takes longer than `timeoutMs` */
  waitForLsn(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Undefined when nothing can be done about what a read threw. Otherwise what it needs is fetched, and `read` is called, as often as it takes.
   * @param read makes the read again
   * @returns a promise that rejects with what the last read threw, or with what kept something from being fetched
   */
  remedy(error: unknown, read: () => void): Promise<void> | undefined;
  /**
   * Rebuilds `count` pages from `firstBlock` on into `out`, one after the other, with right checksums where the cluster has data checksums. @throws ZenithError `no-such-block` …, CorruptionError; `out` is then undefined
   */
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
  ): void;
}

/** Where the page service finds timelines. */
export interface PageSource {
  /** The timeline, or undefined when there is none of that name. @throws CorruptionError when what is needed to serve it cannot be read */
  timeline(tenant: TenantId, timeline: TimelineId): PageTimeline | undefined;
}
