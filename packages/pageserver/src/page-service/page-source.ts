import type { Lsn, TenantId, TimelineId } from '@zenith/base';

/** What the page service needs of a timeline. */
export interface PageTimeline {
  /** Resolves when everything up to `lsn` can be read, here and in the ancestors. @throws ZenithError when that takes longer than `timeoutMs` */
  waitForLsn(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Makes good what a read threw because of something that can be had: undefined when it is nothing of the kind; otherwise the read may be made again when it resolves.
   * @throws what kept it from being had
   */
  remedy(error: unknown): Promise<void> | undefined;
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
