import { allMembers, cutHistory, type AcceptorControl, type NodeId } from '@zenith/consensus';
import { assert, CorruptionError, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { checksumFile } from '@zenith/remote-storage';
import type { Logger } from 'pino';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { ArchiveMetrics } from './metrics.ts';
import type { ArchivedSegment, WalArchive } from './wal-archive.ts';

/** How often timelines are looked at for segments to archive and WAL to let go. Unit: milliseconds. */
const LOOK_INTERVAL_MS = 1_000;

/** So long a safekeeper leaves a segment to the one whose turn is before its own. Unit: milliseconds. */
const TURN_MS = 15_000;

/** So many segments in a row are one member's to archive, so that it need not wait for others in between. */
const RUN_LENGTH = 64;

/** A failure is mentioned in the log once in this time. Unit: milliseconds. */
const COMPLAINT_INTERVAL_MS = 60_000;

/** What an archiver works with. */
export interface ArchiverOptions {
  readonly node: NodeId;
  readonly archive: WalArchive;
  readonly registry: TimelineRegistry;
  readonly log: Logger;
  readonly metrics: ArchiveMetrics;
  /** Unit: milliseconds. */
  readonly nowMs: () => number;
}

/** The segment a timeline waits for. */
interface Waiting {
  readonly number: number;
  readonly sinceMs: number;
}

/**
 * Brings whole committed segments to the archive, and lets WAL go here that the archive and a pageserver's layers have. Of the members one is elected for each run of segments by their numbers; the others look whether it did, and take
 * over one after the other when it does not. Nothing rests on that election: who archives a segment twice finds it there.
 */
export class Archiver {
  readonly #options: ArchiverOptions;
  readonly #waiting = new WeakMap<Timeline, Waiting>();
  /** The last segment of a timeline that this safekeeper archived: whose turn it ever was, it goes on, until somebody else is quicker. */
  readonly #archivedHere = new WeakMap<Timeline, number>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** What is done for a timeline now. */
  #advancing: { readonly timeline: Timeline; readonly done: Promise<unknown> } | undefined;
  #complainedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ArchiverOptions) {
    this.#options = options;
  }

  /** Begins. */
  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Ends; resolves when nothing is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#looking;
  }

  /** Looks at every timeline once; resolves when that is done. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /**
   * Removes a timeline's WAL from the archive, once it is removed here and nothing more of it is under way. When every safekeeper that had the timeline has done so, nothing of it is left and nothing comes any more; harmless to repeat.
   * @throws RemoteStorageError
   */
  async remove(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const { archive, registry } = this.#options;
    assert(registry.find(tenant, timeline) === undefined, 'a timeline is removed here first');
    if (this.#advancing?.timeline.identity.timeline === timeline) await this.#advancing.done;
    await archive.remove({ tenant, timeline }, this.#stop.signal);
  }

  async #lookAtAll(): Promise<void> {
    const { registry, metrics } = this.#options;
    for (const timeline of registry.timelines) {
      // While the disk is full all the more: what is archived may be let go.
      if (this.#stop.signal.aborted || (timeline.broken !== undefined && !timeline.waitsForRoom)) continue;
      try {
        // It may be removed meanwhile.
        while (registry.timelines.includes(timeline) && (await this.#advanceAlone(timeline)))
          if (this.#stop.signal.aborted) return;
        metrics.trimmedBytes.inc(await timeline.trim());
      } catch (error) {
        this.#complain(timeline, error as Error);
      }
    }
  }

  async #advanceAlone(timeline: Timeline): Promise<boolean> {
    const advanced = this.#advance(timeline);
    this.#advancing = { timeline, done: advanced.catch(() => undefined) };
    try {
      return await advanced;
    } finally {
      this.#advancing = undefined;
    }
  }

  /** @returns true when one more segment of the timeline is known to be archived */
  async #advance(timeline: Timeline): Promise<boolean> {
    const { archive, metrics, nowMs } = this.#options;
    const { control } = timeline.state;
    const { identity, backupLsn } = control;
    const number = timeline.segments.numberOf(backupLsn);
    const endLsn = ((number + 1) * identity.segmentSize) as Lsn;
    if (control.commitLsn < endLsn) return false;
    const now = nowMs();
    let waiting = this.#waiting.get(timeline);
    if (waiting?.number !== number) {
      waiting = { number, sinceMs: now };
      this.#waiting.set(timeline, waiting);
    }
    const isMyTurn = this.#archivedHere.has(timeline) || now - waiting.sinceMs >= this.#rank(control, number) * TURN_MS;
    const path = timeline.segments.path(number);
    const isHere = timeline.segments.disk.exists(path);
    const found = await archive.find(identity, number);
    const replace = found !== undefined && isHere && (await this.#isOutdated(found, path, control));
    if (found !== undefined && !replace) {
      if (this.#archivedHere.get(timeline) !== number) this.#archivedHere.delete(timeline);
    } else {
      if (!isMyTurn || !isHere) return false;
      const described = { ...control, history: cutHistory(control.history, endLsn), commitLsn: endLsn };
      await archive.put(number, path, described, { replace, signal: this.#stop.signal });
      metrics.archivedBytes.inc(identity.segmentSize);
      this.#archivedHere.set(timeline, number);
    }
    timeline.progress({ backupLsn: endLsn });
    return timeline.state.control.backupLsn >= endLsn;
  }

  /**
   * Compares what another safekeeper has archived with the WAL here. It is the same, or the timeline ended in this segment when it was restored from the archive, in a newer configuration, and has gone on with other WAL.
   * @throws CorruptionError when it is neither
   */
  async #isOutdated(found: ArchivedSegment, path: string, { configuration }: AcceptorControl): Promise<boolean> {
    const { crc32c } = await checksumFile(path, this.#stop.signal);
    if (crc32c === found.crc32c) return false;
    if (found.control.configuration.generation < configuration.generation) return true;
    throw new CorruptionError('the archive has other WAL than this safekeeper', { source: path });
  }

  /** 0 for the member that is to archive this segment, 1 for the one that takes over from it, and so on. */
  #rank({ configuration }: AcceptorControl, number: number): number {
    const members = allMembers(configuration);
    const index = members.indexOf(this.#options.node);
    const elected = Math.floor(number / RUN_LENGTH) % members.length;
    return index < 0 ? members.length : (index - elected + members.length) % members.length;
  }

  #complain(timeline: Timeline, error: Error): void {
    const { log, metrics, nowMs } = this.#options;
    if (this.#stop.signal.aborted) return;
    metrics.failures.inc();
    if (nowMs() - this.#complainedMs < COMPLAINT_INTERVAL_MS) return;
    this.#complainedMs = nowMs();
    const { tenant, timeline: id } = timeline.identity;
    log.warn({ tenant, timeline: id, reason: error.message }, 'WAL cannot be archived: it is kept here');
  }
}
