import { allMembers, cutHistory, type AcceptorControl, type NodeId, type TermHistory } from '@zenith/consensus';
import { assert, CorruptionError, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { checksumFile } from '@zenith/remote-storage';
import type { Logger } from 'pino';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { replaceSegment } from '../wal-storage/replace-segment.ts';
import type { ReadWal } from './first-record.ts';
import type { ArchiveMetrics } from './metrics.ts';
import { recordBefore, verifySegment, type VerifiedSegment } from './verify-segment.ts';
import type { ArchivedSegment, WalArchive } from './wal-archive.ts';

/** How often timelines are looked at for segments to archive and WAL to let go. Unit: milliseconds. */
const LOOK_INTERVAL_MS = 1_000;

/** So long a safekeeper leaves a segment to the one whose turn is before its own. Unit: milliseconds. */
const TURN_MS = 15_000;

/** So many segments in a row are one member's to archive, so that it need not wait for others in between. */
const RUN_LENGTH = 64;

/** A failure is mentioned in the log once in this time. Unit: milliseconds. */
const COMPLAINT_INTERVAL_MS = 60_000;

/** A segment that is damaged is looked at again after this time. Unit: milliseconds. */
const DAMAGE_INTERVAL_MS = 600_000;

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

/** A segment, and since when. */
interface Waiting {
  readonly number: number;
  readonly sinceMs: number;
}

/**
 * Brings whole committed segments to the archive, and lets WAL go here that the archive and a pageserver's layers have. Of the members one is elected for each run of segments by their numbers; the others look whether it did, and take
 * over one after the other when it does not. Nothing rests on that election: who archives a segment twice finds it there.
 *
 * A segment is archived only after its WAL was verified as it lies on this disk. One that is damaged is kept, and another member's turn comes; what that one has archived is then put in its place.
 */
export class Archiver {
  readonly #options: ArchiverOptions;
  readonly #waiting = new WeakMap<Timeline, Waiting>();
  /** The last segment of a timeline that this safekeeper archived: whose turn it ever was, it goes on, until somebody else is quicker. */
  readonly #archivedHere = new WeakMap<Timeline, number>();
  /** The last segment of a timeline that was verified here, and the last record that begins in it or before: the next one is decoded from there. */
  readonly #verified = new WeakMap<Timeline, { readonly number: number; readonly recordLsn: Lsn }>();
  /** The segment of a timeline of which archive and disk have different bytes, and nobody knows which are right. */
  readonly #disputed = new WeakMap<Timeline, Waiting>();
  /** The segment of a timeline that is damaged here. */
  readonly #damaged = new WeakMap<Timeline, Waiting>();
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
    const { archive, nowMs } = this.#options;
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
    const isOther = found !== undefined && isHere && (await this.#isOther(found, path));
    const replace = isOther && found.control.configuration.generation < control.configuration.generation;
    if (found !== undefined && !isOther) {
      if (this.#archivedHere.get(timeline) !== number) this.#archivedHere.delete(timeline);
    } else if (isOther && isSameWal(found.control, control, endLsn)) {
      if (!(await this.#settleDifference(timeline, control, number))) return false;
    } else if (isOther && !replace) {
      throw new CorruptionError('the archive has other WAL than this safekeeper', { source: path });
    } else {
      if (!isMyTurn || !isHere) return false;
      if (!(await this.#put(timeline, control, number, replace))) return false;
    }
    timeline.progress({ backupLsn: endLsn });
    return timeline.state.control.backupLsn >= endLsn;
  }

  /** Archives the segment on this disk, if it is sound. */
  async #put(timeline: Timeline, control: AcceptorControl, number: number, replace: boolean): Promise<boolean> {
    const { archive, metrics } = this.#options;
    const verified = await this.#verify(timeline, control, number);
    if (verified === undefined) return false;
    const endLsn = ((number + 1) * control.identity.segmentSize) as Lsn;
    const described = { ...control, history: cutHistory(control.history, endLsn), commitLsn: endLsn };
    await archive.put(number, timeline.segments.path(number), verified, described, {
      replace,
      signal: this.#stop.signal,
    });
    metrics.archivedBytes.inc(verified.length);
    this.#archivedHere.set(timeline, number);
    return true;
  }

  /** The archive and this disk should have the same bytes and have not: one of them is damaged. What is sound takes the place of what is not. @throws CorruptionError when both are sound, or neither */
  async #settleDifference(timeline: Timeline, control: AcceptorControl, number: number): Promise<boolean> {
    const { archive, log, metrics, nowMs } = this.#options;
    const { identity } = control;
    const { tenant, timeline: id, segmentSize } = identity;
    const path = timeline.segments.path(number);
    if (this.#isRecent(this.#disputed.get(timeline), number)) return false;
    const here = await this.#verify(timeline, control, number);
    let archived: Uint8Array | undefined;
    let there: VerifiedSegment | undefined;
    const reader = timeline.openReader();
    try {
      archived = await archive.read(identity, number);
      if (archived === undefined) return false; // removed since
      // What the record that reaches out of the segment goes on with may be damaged here, too.
      let ahead: { readonly number: number; readonly bytes: Uint8Array | undefined } = { number, bytes: archived };
      const read: ReadWal = async (lsn, bytes) => {
        const at = timeline.segments.numberOf(lsn);
        if (at > ahead.number) ahead = { number: at, bytes: await archive.read(identity, at) };
        if (at !== ahead.number || ahead.bytes === undefined) return reader.read(lsn, bytes, false);
        bytes.set(ahead.bytes.subarray(lsn % segmentSize, (lsn % segmentSize) + bytes.length));
      };
      const fromLsn = await this.#startOf(timeline, control, number, read);
      there = await verifySegment(control, number, fromLsn, read, this.#stop.signal);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
    } finally {
      reader.close();
    }
    if ((here === undefined) === (there === undefined)) {
      this.#disputed.set(timeline, { number, sinceMs: nowMs() });
      const which = here === undefined ? 'neither is' : 'both are';
      throw new CorruptionError(`the archive has other bytes than this safekeeper, and ${which} sound`, {
        source: path,
      });
    }
    if (there === undefined || archived === undefined) return this.#put(timeline, control, number, true);
    await replaceSegment(timeline.segments, number, archived);
    this.#damaged.delete(timeline);
    this.#verified.set(timeline, { number, recordLsn: there.recordLsn });
    metrics.repairedSegments.inc();
    log.warn({ tenant, timeline: id, segment: number }, 'a damaged WAL segment was replaced by what is in the archive');
    return true;
  }

  /** Verifies the segment on this disk; undefined when it is damaged, which is said each time that it is found. */
  async #verify(timeline: Timeline, control: AcceptorControl, number: number): Promise<VerifiedSegment | undefined> {
    const { log, metrics, nowMs } = this.#options;
    if (this.#isRecent(this.#damaged.get(timeline), number)) return undefined;
    const reader = timeline.openReader();
    const read: ReadWal = (lsn, bytes) => reader.read(lsn, bytes, false);
    try {
      const fromLsn = await this.#startOf(timeline, control, number, read);
      const verified = await verifySegment(control, number, fromLsn, read, this.#stop.signal);
      this.#verified.set(timeline, { number, recordLsn: verified.recordLsn });
      return verified;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#damaged.set(timeline, { number, sinceMs: nowMs() });
      this.#verified.delete(timeline);
      metrics.damagedSegments.inc();
      const { tenant, timeline: id } = control.identity;
      log.error(
        { tenant, timeline: id, segment: timeline.segments.path(number), reason: error.message },
        'a WAL segment is damaged: it is not archived from here, and kept',
      );
      return undefined;
    } finally {
      reader.close();
    }
  }

  #isRecent(noted: Waiting | undefined, number: number): boolean {
    return noted?.number === number && this.#options.nowMs() - noted.sinceMs < DAMAGE_INTERVAL_MS;
  }

  /** A record from which on a segment can be decoded. */
  async #startOf(timeline: Timeline, control: AcceptorControl, number: number, read: ReadWal): Promise<Lsn> {
    const before = this.#verified.get(timeline);
    return before?.number === number - 1 ? before.recordLsn : recordBefore(control, number, read);
  }

  /** Compares what another safekeeper has archived with the file here. It is the same, one of them is damaged, or the timeline ended in this segment when it was restored from the archive, in a newer configuration, and has gone on with other WAL. */
  async #isOther({ crc32c }: ArchivedSegment, path: string): Promise<boolean> {
    return (await checksumFile(path, this.#stop.signal)).crc32c !== crc32c;
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

/** True when the WAL up to `lsn` was written by the same leaders in both. */
function isSameWal(a: AcceptorControl, b: AcceptorControl, lsn: Lsn): boolean {
  const reached = ({ history }: AcceptorControl): TermHistory => history.filter(({ startLsn }) => startLsn < lsn);
  const [first, second] = [reached(a), reached(b)];
  return (
    first.length === second.length &&
    first.every(({ term, startLsn }, i) => term === second[i]?.term && startLsn === second[i]?.startLsn)
  );
}
