import { formatLsn, type Lsn } from '@zenith/base';
import type { SafekeeperAddress } from '../options.ts';
import { listSafekeeperTimelines, reportRemoteConsistent } from './safekeeper-client.ts';
import { TimelineFollower, type FollowedTimeline, type FollowerContext } from './timeline-follower.ts';

/** How often every safekeeper is asked what it has. Unit: ms. */
const INTERVAL_MS = 1000;

/** A safekeeper that does not answer is mentioned in the log once in this time. Unit: ms. */
const COMPLAINT_INTERVAL_MS = 60_000;

/** Where the followed timelines are found. */
export interface FollowedTimelines {
  /** The timeline, or undefined when it is not served here. */
  find(tenant: FollowedTimeline['tenant'], timeline: FollowedTimeline['timeline']): FollowedTimeline | undefined;
}

/**
 * Finds WAL for the timelines that are served: asks every safekeeper once a second, and whenever somebody knows of new WAL, which timelines it has, and lets a follower take what
 * is ahead.
 */
export class WalSources {
  readonly #timelines: FollowedTimelines;
  #safekeepers: readonly SafekeeperAddress[];
  readonly #context: FollowerContext;
  readonly #followers = new Map<FollowedTimeline, TimelineFollower>();
  readonly #complainedAt = new Map<SafekeeperAddress['id'], number>();
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(timelines: FollowedTimelines, safekeepers: readonly SafekeeperAddress[], context: FollowerContext) {
    this.#timelines = timelines;
    this.#safekeepers = safekeepers;
    this.#context = context;
  }

  /** Begins to look for WAL. */
  start(): void {
    void this.look();
    this.#timer = setInterval(() => void this.look(), INTERVAL_MS);
  }

  /** Asks every safekeeper now; resolves when all have answered, or have not. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= Promise.all(this.#safekeepers.map((safekeeper) => this.#ask(safekeeper))).then(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** From now on looks for WAL at these safekeepers and at no others. What is followed at one that is gone goes on at another. */
  async replaceSafekeepers(safekeepers: readonly SafekeeperAddress[]): Promise<void> {
    this.#safekeepers = safekeepers;
    for (const follower of this.#followers.values()) follower.retain(safekeepers);
    await this.#looking; // at the ones before
    await this.look();
  }

  /** The follower of a timeline; undefined while no safekeeper has been ahead of it. */
  follower(timeline: FollowedTimeline): TimelineFollower | undefined {
    return this.#followers.get(timeline);
  }

  /** Follows a timeline no longer; resolves when nothing more of it is ingested. */
  async forget(timeline: FollowedTimeline): Promise<void> {
    const follower = this.#followers.get(timeline);
    this.#followers.delete(timeline);
    await follower?.stop();
  }

  /** Stops everything; resolves when nothing more is ingested. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#followers.values()].map((follower) => follower.stop()));
  }

  async #ask(safekeeper: SafekeeperAddress): Promise<void> {
    try {
      for (const listed of await listSafekeeperTimelines(safekeeper, this.#context.tokens)) {
        const { tenant, timeline, commitLsn, remoteConsistentLsn } = listed;
        const followed = this.#timelines.find(tenant, timeline);
        const wanted = !this.#stopped && this.#safekeepers.includes(safekeeper); // it may have been replaced meanwhile
        if (followed === undefined || !wanted) continue;
        this.#offer(followed, safekeeper, commitLsn);
        const durable = Math.min(followed.remoteConsistentLsn, commitLsn) as Lsn;
        if (durable > remoteConsistentLsn)
          await reportRemoteConsistent(safekeeper, this.#context.tokens, tenant, timeline, durable);
      }
      if (this.#complainedAt.delete(safekeeper.id))
        this.#context.log.info({ safekeeper: safekeeper.id }, 'safekeeper answers again');
    } catch (error) {
      this.#complain(safekeeper, error as Error);
    }
  }

  #offer(timeline: FollowedTimeline, safekeeper: SafekeeperAddress, commitLsn: Lsn): void {
    let follower = this.#followers.get(timeline);
    if (follower === undefined) {
      if (commitLsn <= timeline.lastRecordLsn) return;
      this.#context.log.debug({ timeline: timeline.timeline, commitLsn: formatLsn(commitLsn) }, 'WAL found');
      follower = new TimelineFollower(timeline, this.#context);
      this.#followers.set(timeline, follower);
    }
    follower.offer(safekeeper, commitLsn);
  }

  #complain(safekeeper: SafekeeperAddress, error: Error): void {
    const now = this.#context.now();
    const last = this.#complainedAt.get(safekeeper.id);
    if (this.#stopped || (last !== undefined && now - last < COMPLAINT_INTERVAL_MS)) return;
    this.#complainedAt.set(safekeeper.id, now);
    this.#context.log.warn({ safekeeper: safekeeper.id, reason: error.message }, 'safekeeper does not answer');
  }
}
