import { formatLsn, type Lsn, type TenantId } from '@zenith/base';
import { committedWal, type Term } from '@zenith/consensus';
import type { Logger } from 'pino';
import type { Clock } from '../clock/clock.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { RecoveryMetrics } from './metrics.ts';
import type { Peer, WalSource } from './peer.ts';

/** Between two looks at what the others have. Who knows no leader at two of them in a row gets WAL from there. Unit: milliseconds. */
export const LOOK_INTERVAL_MS = 5_000;

/** What a recovery from peers needs. */
export interface PeerRecoveryOptions {
  readonly registry: TimelineRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RecoveryMetrics;
  readonly intervalMs: number;
}

/** Where there is more of a timeline than here. */
interface Ahead {
  readonly peer: Peer;
  readonly commitLsn: Lsn;
}

/**
 * Brings committed WAL that this safekeeper missed from the others while no proposer leads: a compute would bring it, but none may run for long. One timeline after the other; whatever fails is tried again at a later look.
 * Why that is safe stands at the acceptor's `follow` and in docs/decisions/2026-11-27-peer-recovery.md.
 */
export class PeerRecovery {
  readonly #options: PeerRecoveryOptions;
  #peers: readonly Peer[] = [];
  #stopTimer: (() => void) | undefined;
  /** Those without a leader at the last look, and their terms then: an election in between begins a new wait. */
  #leaderless: ReadonlyMap<Timeline, Term> = new Map();
  #looking: Promise<void> | undefined;
  #source: WalSource | undefined;
  /** Where the WAL ended here when it had diverged from what is committed: it stays so until a leader comes. */
  readonly #diverged = new WeakMap<Timeline, Lsn>();
  /** The source has given something since the last tick. */
  #progressed = false;
  #stopped = false;

  constructor(options: PeerRecoveryOptions) {
    this.#options = options;
  }

  /** The other safekeepers, from now on. */
  replacePeers(peers: readonly Peer[]): void {
    this.#peers = peers;
  }

  /** Begins to look, every so often. */
  start(): void {
    const { clock, intervalMs } = this.#options;
    this.#stopTimer ??= clock.every(intervalMs, () => this.#tick());
  }

  /** Ends what is under way; resolves when nothing more is written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTimer?.();
    this.#source?.close();
    await this.#looking;
  }

  #tick(): void {
    if (this.#looking !== undefined) {
      // A peer that stands still is given up, for the timelines that wait behind this one.
      if (!this.#progressed) this.#source?.close();
      this.#progressed = false;
      return;
    }
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  async #look(): Promise<void> {
    const { registry, log } = this.#options;
    const before = this.#leaderless;
    // Without any WAL it may have lost its disk, and what it promised: others are for that (`restore`, `replace`).
    const leaderless = registry.timelines.filter(
      (timeline) => isLeaderless(timeline) && timeline.flushLsn > timeline.identity.timelineStartLsn,
    );
    this.#leaderless = new Map(leaderless.map((timeline) => [timeline, timeline.term]));
    const waiting = leaderless.filter(
      (timeline) => before.get(timeline) === timeline.term && this.#diverged.get(timeline) !== timeline.flushLsn,
    );
    if (waiting.length === 0) return;
    const failed = new Set<Peer>();
    for (const [timeline, { peer }] of await this.#ahead(waiting)) {
      if (this.#stopped) return;
      // Some time has passed with those before.
      if (failed.has(peer) || !isLeaderless(timeline) || before.get(timeline) !== timeline.term) continue;
      try {
        await this.#recover(timeline, peer);
      } catch (error) {
        const { timeline: id } = timeline.identity;
        log.warn({ timeline: id, peer: peer.id, err: error }, 'WAL could not be copied from a peer');
        // Next time another that has as much comes first.
        failed.add(peer);
        this.#peers = [...this.#peers.filter((one) => one !== peer), peer];
      }
    }
  }

  /** Where there is most of these timelines, as far as that is more than here. A peer that does not answer has nothing to give. */
  async #ahead(timelines: readonly Timeline[]): Promise<ReadonlyMap<Timeline, Ahead>> {
    const tenants = [...new Set(timelines.map(({ identity }) => identity.tenant))];
    const answers = await Promise.allSettled(this.#peers.map((peer) => ask(peer, tenants)));
    const found = new Map<Timeline, Ahead>();
    for (const answer of answers) {
      if (answer.status === 'rejected') {
        this.#options.log.debug({ err: answer.reason }, 'a peer does not say what it has');
        continue;
      }
      const { peer, commitLsns } = answer.value;
      for (const timeline of timelines) {
        const { identity, flushLsn } = timeline;
        const commitLsn = commitLsns.get(`${identity.tenant} ${identity.timeline}`);
        const best = found.get(timeline)?.commitLsn ?? timeline.commitLsn;
        if (commitLsn !== undefined && commitLsn > best && commitLsn >= flushLsn)
          found.set(timeline, { peer, commitLsn });
      }
    }
    return found;
  }

  async #recover(timeline: Timeline, peer: Peer): Promise<void> {
    const { log, metrics } = this.#options;
    const { tenant, timeline: id } = timeline.identity;
    const { term } = timeline;
    const control = await peer.control(tenant, id);
    if (control === undefined || this.#stopped || !isLeaderless(timeline) || timeline.term !== term) return;
    const source = committedWal(control);
    const verdict = await timeline.follow(source);
    metrics.recoveries.inc({ verdict });
    const from = timeline.flushLsn;
    const about = { timeline: id, peer: peer.id, from: formatLsn(from), to: formatLsn(source.commitLsn) };
    if (verdict !== 'copy') {
      if (verdict === 'diverged') this.#diverged.set(timeline, from);
      log.info({ ...about, verdict }, 'a peer has more WAL, which is not copied');
      return;
    }
    if (from >= source.commitLsn) return; // it has learnt that what it has is committed
    await this.#copy(timeline, peer, source, from);
    await timeline.untilDurable();
    if (timeline.flushLsn >= source.commitLsn) log.info(about, 'WAL copied from a peer');
    else log.info({ ...about, flushLsn: formatLsn(timeline.flushLsn) }, 'the copy of WAL from a peer was broken off');
  }

  async #copy(timeline: Timeline, peer: Peer, source: ReturnType<typeof committedWal>, from: Lsn): Promise<void> {
    const { tenant, timeline: id } = timeline.identity;
    const wal = await peer.openWal(tenant, id, from);
    this.#source = wal;
    this.#progressed = true; // until the next tick but one it has time
    try {
      for (let at = from; at < source.commitLsn && !this.#stopped;) {
        const bytes = (await wal.next()).subarray(0, source.commitLsn - at);
        if (!(await timeline.copy(source, at, bytes))) return;
        this.#progressed = true;
        at = (at + bytes.length) as Lsn;
      }
    } finally {
      this.#source = undefined;
      wal.close();
    }
  }
}

/** True when no proposer brings WAL, and WAL is taken. */
function isLeaderless({ state, broken }: Timeline): boolean {
  return state.leader === null && broken === undefined;
}

/** What a peer has of these tenants, one after the other: by tenant and timeline. */
async function ask(
  peer: Peer,
  tenants: readonly TenantId[],
): Promise<{ readonly peer: Peer; readonly commitLsns: ReadonlyMap<string, Lsn> }> {
  const commitLsns = new Map<string, Lsn>();
  for (const tenant of tenants)
    for (const { timeline, commitLsn } of await peer.commitPoints(tenant))
      commitLsns.set(`${tenant} ${timeline}`, commitLsn);
  return { peer, commitLsns };
}
