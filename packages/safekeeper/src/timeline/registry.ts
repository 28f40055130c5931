import { join } from 'node:path';
import { assert, formatLsn, isId, type TenantId, type TimelineId } from '@zenith/base';
import { createControl, isMember, type Configuration, type NodeId, type TimelineIdentity } from '@zenith/consensus';
import { PG_MAJORS, isWalSegmentSize } from '@zenith/pg-format';
import type { Logger } from 'pino';
import type { WalArchive } from '../archive/wal-archive.ts';
import type { Clock } from '../clock/clock.ts';
import { CleanMarker } from '../control-file/clean-marker.ts';
import { ControlFile } from '../control-file/control-file.ts';
import type { Disk } from '../disk/disk.ts';
import { writesAreRefused } from '../disk/refused-writes.ts';
import { SafekeeperError } from '../errors.ts';
import { recoverWal } from '../wal-storage/recovery.ts';
import { Segments } from '../wal-storage/segments.ts';
import { makeTimeline, type TimelineContent } from './make-timeline.ts';
import type { TimelineMetrics } from './metrics.ts';
import { Timeline } from './timeline.ts';

/** How often control files catch up with the LSNs in memory. Unit: milliseconds. */
const SAVE_INTERVAL_MS = 10_000;

/** How often timelines that met a full disk look for room. Unit: milliseconds. */
const ROOM_INTERVAL_MS = 2_000;

/** Ends the name of a directory whose timeline was removed for good. Emptied, it stays: the timeline is never made again, whoever asks for it. */
const REMOVED = '.removed';

/** Ends the name of a directory that makes room for the same timeline out of other files. */
const DISCARDED = '.discarded';

/** A timeline whose files could not be read. It is known, and refused. */
export interface UnreadableTimeline {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly error: SafekeeperError;
}

/** A timeline that is never made again. */
export interface RemovedTimeline {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
}

/** What timelines are made of, the same for all. */
export interface RegistryOptions {
  readonly node: NodeId;
  /** The safekeeper's data directory. */
  readonly dataDirectory: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: TimelineMetrics;
  /** Most timelines; another one is refused. */
  readonly timelinesMax: number;
  /** Where whole segments go; left out when there is none. */
  readonly archive?: WalArchive | undefined;
}

/** The timelines of this safekeeper: `tenants/<tenant>/<timeline>/`, each with its control file and its WAL. A directory without a control file is none. */
export class TimelineRegistry {
  readonly #options: RegistryOptions;
  readonly #timelines = new Map<TimelineId, Timeline>();
  readonly #unreadable = new Map<TimelineId, UnreadableTimeline>();
  readonly #creating = new Map<TimelineId, Promise<Timeline>>();
  readonly #removing = new Map<TimelineId, Promise<boolean>>();
  /** Those that are never made again, by {@link nameOf}. */
  readonly #removed = new Map<string, RemovedTimeline>();
  readonly #timers: readonly (() => void)[];
  #resuming: Promise<void> | undefined;
  /** Counts attempts that found no room: another timeline is the first to try next time. */
  #turn = 0;
  #closing = false;

  private constructor(options: RegistryOptions) {
    this.#options = options;
    const { clock } = options;
    this.#timers = [
      clock.every(SAVE_INTERVAL_MS, () => {
        for (const timeline of this.#timelines.values()) timeline.saveProgress();
      }),
      clock.every(ROOM_INTERVAL_MS, () => void this.resume()),
    ];
  }

  /** Loads all timelines there are. One that is damaged is logged and refused, the rest serves. */
  static async open(options: RegistryOptions): Promise<TimelineRegistry> {
    const registry = new TimelineRegistry(options);
    const { disk, dataDirectory } = options;
    const root = join(dataDirectory, 'tenants');
    for (const tenant of disk.list(root).filter(isId)) {
      for (const name of disk.list(join(root, tenant))) {
        if (name.endsWith(DISCARDED)) disk.remove(join(root, tenant, name));
        if (!name.endsWith(REMOVED)) continue;
        empty(disk, join(root, tenant, name));
        registry.#noteRemoved({ tenant: tenant as TenantId, timeline: name.slice(0, -REMOVED.length) as TimelineId });
      }
      for (const timeline of disk.list(join(root, tenant)).filter(isId)) {
        await registry.#tryToLoad(tenant as TenantId, timeline as TimelineId);
      }
    }
    return registry;
  }

  /** Loads a timeline, or notes why it cannot be read. */
  async #tryToLoad(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const { dataDirectory, log, metrics } = this.#options;
    const known = this.#unreadable.get(timeline);
    try {
      await this.#load(join(dataDirectory, 'tenants', tenant, timeline));
      this.#unreadable.delete(timeline);
    } catch (error) {
      const refused = writesAreRefused(error);
      if (refused && known?.error.code === 'disk-full') return;
      if (refused) metrics.diskFull.inc();
      log.error({ tenant, timeline, err: error }, 'timeline cannot be read');
      const message = `timeline ${timeline} cannot be read${refused ? ' until its disk takes writes again' : ''}: ${(error as Error).message}`;
      this.#unreadable.set(timeline, {
        tenant,
        timeline,
        error: new SafekeeperError(refused ? 'disk-full' : 'timeline-broken', message, { cause: error }),
      });
    }
  }

  /** Those that take no WAL until a restart, at least: damaged files or a failed write. */
  get broken(): readonly TimelineId[] {
    const { waiting } = this;
    return [
      ...this.timelines.filter(({ broken }) => broken !== undefined).map(({ identity }) => identity.timeline),
      ...this.unreadable.map(({ timeline }) => timeline),
    ].filter((id) => !waiting.includes(id));
  }

  /** Those that wait for room on the disk. */
  get waiting(): readonly TimelineId[] {
    return [
      ...this.timelines.filter(({ waitsForRoom }) => waitsForRoom).map(({ identity }) => identity.timeline),
      ...this.unreadable.filter(({ error }) => error.code === 'disk-full').map(({ timeline }) => timeline),
    ];
  }

  /** Goes on with timelines that met a full or read-only disk, as far as it takes writes by now: one after the other, since they share the disk, up to the first that is refused. Never rejects. */
  async resume(): Promise<void> {
    this.#resuming ??= this.#resumeAll().finally(() => {
      this.#resuming = undefined;
    });
    await this.#resuming;
  }

  async #resumeAll(): Promise<void> {
    const { waiting } = this;
    const first = this.#turn % Math.max(1, waiting.length);
    for (const id of [...waiting.slice(first), ...waiting.slice(0, first)]) {
      if (this.#closing) return;
      const unreadable = this.#unreadable.get(id);
      if (unreadable === undefined) await this.#timelines.get(id)?.resume();
      else await this.#tryToLoad(unreadable.tenant, id);
      if (!this.waiting.includes(id)) continue;
      this.#turn++;
      return;
    }
  }

  /** All timelines that can be read. */
  get timelines(): readonly Timeline[] {
    return [...this.#timelines.values()];
  }

  /** Those that cannot. */
  get unreadable(): readonly UnreadableTimeline[] {
    return [...this.#unreadable.values()];
  }

  /** Those that were removed for good. */
  get removed(): readonly RemovedTimeline[] {
    return [...this.#removed.values()];
  }

  #noteRemoved(removed: RemovedTimeline): void {
    this.#removed.set(nameOf(removed.tenant, removed.timeline), removed);
  }

  /** A timeline, undefined when it is not known here. @throws SafekeeperError `timeline-broken` when its files are damaged */
  find(tenant: TenantId, timeline: TimelineId): Timeline | undefined {
    const unreadable = this.#unreadable.get(timeline);
    if (unreadable !== undefined && unreadable.tenant === tenant) throw unreadable.error;
    const found = this.#timelines.get(timeline);
    return found?.identity.tenant === tenant ? found : undefined;
  }

  /**
   * The timeline a proposer greets for, made when it is not known. Identity and configuration of one that exists are judged by its acceptor.
   * @throws SafekeeperError `timeline-refused`, `timeline-broken`
   */
  async findOrCreate(identity: TimelineIdentity, configuration: Configuration): Promise<Timeline> {
    const found = this.find(identity.tenant, identity.timeline);
    if (found !== undefined) return found;
    const creating = this.#creating.get(identity.timeline);
    if (creating !== undefined) {
      // Somebody else's greeting makes it, which is judged again like one for a timeline that exists.
      const made = await creating;
      if (made.identity.tenant !== identity.tenant) throw refusal(identity, 'it belongs to another tenant');
      return made;
    }
    const { node } = this.#options;
    if (!isMember(configuration, node))
      throw refusal(identity, `safekeeper ${node} is not a member of the configuration`);
    return this.add({
      identity,
      localStartLsn: identity.timelineStartLsn,
      write: () => Promise.resolve(createControl(node, identity, configuration)),
    });
  }

  /** The timeline if it is here, else one made of `content`. @throws SafekeeperError `timeline-refused`, `timeline-broken` */
  async add(content: TimelineContent): Promise<Timeline> {
    const { tenant, timeline } = content.identity;
    const found = this.find(tenant, timeline);
    const creating = this.#creating.get(timeline);
    if (found !== undefined) return found;
    if (creating !== undefined) return creating;
    this.#check(content.identity);
    const created = this.#create(content).finally(() => this.#creating.delete(timeline));
    this.#creating.set(timeline, created);
    return created;
  }

  /**
   * Removes a timeline and its WAL for good; harmless when there is none, and when it is removed already. Its directory gets another name, and with that it is gone, after a crash too: from then on nobody can make it again, not a compute that
   * has not heard of it, nor a safekeeper that still has it.
   * @throws what the disk throws
   */
  async remove(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const { disk, dataDirectory, log } = this.#options;
    if (this.#removed.has(nameOf(tenant, timeline))) return;
    const isMine = await this.#putAside(tenant, timeline, REMOVED, async (aside) => {
      this.#noteRemoved({ tenant, timeline });
      disk.makeDirectory(aside); // it is there, unless no WAL of the timeline ever came here
      await disk.syncDirectory(join(dataDirectory, 'tenants', tenant));
      empty(disk, aside);
    });
    if (isMine) log.info({ tenant, timeline }, 'timeline removed');
  }

  /** Removes a timeline that has no WAL: what it is made of next comes from elsewhere. */
  async discardEmpty({ identity, flushLsn }: Timeline): Promise<void> {
    assert(flushLsn === identity.timelineStartLsn, 'a timeline with WAL is not discarded');
    await this.#putAside(identity.tenant, identity.timeline, DISCARDED, (aside) => this.#options.disk.remove(aside));
  }

  /** Closes a timeline and gives its directory another name, durably; then `finish`, before anybody can make it again. @returns false when the timeline is another tenant's */
  async #putAside(
    tenant: TenantId,
    timeline: TimelineId,
    suffix: string,
    finish: (aside: string) => Promise<void> | void,
  ): Promise<boolean> {
    const before = this.#removing.get(timeline);
    if (before !== undefined) return before;
    const done = this.#close(tenant, timeline)
      .then(async (isMine) => {
        if (!isMine) return false;
        const { disk, dataDirectory } = this.#options;
        const tenantDirectory = join(dataDirectory, 'tenants', tenant);
        const directory = join(tenantDirectory, timeline);
        const aside = directory + suffix;
        if (disk.exists(directory)) {
          disk.remove(aside);
          disk.rename(directory, aside);
          await disk.syncDirectory(tenantDirectory);
        }
        await finish(aside);
        return true;
      })
      .finally(() => this.#removing.delete(timeline));
    this.#removing.set(timeline, done);
    return done;
  }

  /** Ends a timeline that is being removed. @returns false when it is another tenant's */
  async #close(tenant: TenantId, timeline: TimelineId): Promise<boolean> {
    await this.#creating.get(timeline)?.catch(() => undefined);
    await this.#resuming;
    const found = this.#timelines.get(timeline);
    const owner = found?.identity.tenant ?? this.#unreadable.get(timeline)?.tenant ?? tenant;
    if (owner !== tenant) return false;
    this.#timelines.delete(timeline);
    this.#unreadable.delete(timeline);
    await found?.close();
    return true;
  }

  /** Makes everything durable and closes all files. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const stop of this.#timers) stop();
    await this.#resuming;
    await Promise.allSettled(this.#creating.values());
    const failures: unknown[] = [];
    for (const timeline of this.#timelines.values()) {
      await timeline.close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  #check(identity: TimelineIdentity): void {
    const { timelinesMax } = this.#options;
    if (!PG_MAJORS.some((major) => major === identity.pgMajor))
      throw refusal(
        identity,
        `PostgreSQL ${identity.pgMajor} is not supported: expected one of ${PG_MAJORS.join(', ')}`,
      );
    if (!isWalSegmentSize(identity.segmentSize))
      throw refusal(identity, `${identity.segmentSize} is not the size of a WAL segment`);
    if (identity.timelineStartLsn === 0 || identity.timelineStartLsn % 8 !== 0)
      throw refusal(identity, `${formatLsn(identity.timelineStartLsn)} is not a record boundary`);
    if (this.#removing.has(identity.timeline)) throw refusal(identity, 'it is being removed');
    if (this.#removed.has(nameOf(identity.tenant, identity.timeline))) throw refusal(identity, 'it was removed');
    if (this.#timelines.has(identity.timeline)) throw refusal(identity, 'it belongs to another tenant');
    if (this.#timelines.size + this.#creating.size >= timelinesMax)
      throw refusal(identity, `this safekeeper has ${timelinesMax} timelines already (timelinesMax)`);
  }

  async #create(content: TimelineContent): Promise<Timeline> {
    const { disk, dataDirectory, log } = this.#options;
    const { identity } = content;
    let directory: string;
    try {
      directory = await makeTimeline(disk, dataDirectory, content);
    } catch (error) {
      throw new SafekeeperError(
        'timeline-refused',
        `timeline ${identity.timeline} cannot be created: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const timeline = await this.#load(directory);
    log.info(
      {
        tenant: identity.tenant,
        timeline: identity.timeline,
        lsn: formatLsn(content.localStartLsn),
        pgMajor: identity.pgMajor,
      },
      'timeline created',
    );
    if (timeline === undefined) throw refusal(identity, 'its control file is gone');
    return timeline;
  }

  /** @returns undefined when the directory holds no timeline */
  async #load(directory: string): Promise<Timeline | undefined> {
    const { disk, node, metrics, clock } = this.#options;
    const controlFile = new ControlFile(disk, directory);
    const control = controlFile.load();
    if (control === undefined) return undefined;
    const { identity } = control;
    const segments = new Segments(disk, directory, identity.segmentSize);
    const cleanMarker = new CleanMarker(disk, directory);
    const durable = await cleanMarker.take();
    const flushLsn = await recoverWal(segments, control, durable);
    if (!durable) await controlFile.save({ ...control, pendingTruncationLsn: null }); // what was read may not be on the disk either
    const log = this.#options.log.child({ tenant: identity.tenant, timeline: identity.timeline });
    log.info(
      { flushLsn: formatLsn(flushLsn), commitLsn: formatLsn(control.commitLsn), term: control.term },
      'timeline loaded',
    );
    const { archive } = this.#options;
    const distant = archive === undefined ? undefined : { read: (number: number) => archive.read(identity, number) };
    const timeline = new Timeline({
      node,
      control,
      flushLsn,
      segments,
      controlFile,
      cleanMarker,
      log,
      metrics,
      clock,
      distant,
    });
    this.#timelines.set(identity.timeline, timeline);
    return timeline;
  }
}

function refusal(identity: TimelineIdentity, reason: string): SafekeeperError {
  return new SafekeeperError('timeline-refused', `timeline ${identity.timeline} cannot be created: ${reason}`);
}

function empty(disk: Disk, directory: string): void {
  for (const name of disk.list(directory)) disk.remove(join(directory, name));
}

function nameOf(tenant: string, timeline: string): string {
  return `${tenant}/${timeline}`;
}
