import { join } from 'node:path';
import { createControl, nodeId, type TermHistory, type TimelineIdentity } from '@zenith/consensus';
import { openRemoteStorage } from '@zenith/remote-storage';
import { FaultyStorage, temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { systemClock } from '../clock/clock.ts';
import { localDisk } from '../disk/local-disk.ts';
import type { WalSource } from '../testing/test-proposer.test-support.ts';
import { testConfiguration } from '../testing/test-wal.test-support.ts';
import { timelineMetrics } from '../timeline/metrics.ts';
import { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { Archiver } from './archiver.ts';
import { archiveMetrics, type ArchiveMetrics } from './metrics.ts';
import { WalArchive } from './wal-archive.ts';

/** So long a segment is left to the member whose turn is before. Unit: milliseconds. */
export const TURN_MS = 15_000;

const log = pino({ level: 'silent' });

/** One safekeeper, as far as its archiver goes. */
export interface Member {
  readonly registry: TimelineRegistry;
  readonly timeline: Timeline;
  readonly metrics: ArchiveMetrics;
  archiver: Archiver;
}

/** The archivers of safekeepers with the same committed WAL: whoever tests says who looks and what time it is. The archive counts what is put. */
export class ArchiverLab {
  readonly storage: FaultyStorage;
  readonly archive: WalArchive;
  nowMs = 0;
  readonly #directory: ReturnType<typeof temporaryDirectory>;
  readonly #members: Member[] = [];
  readonly #registries: TimelineRegistry[] = [];

  private constructor(directory: ReturnType<typeof temporaryDirectory>, storage: FaultyStorage) {
    this.#directory = directory;
    this.storage = storage;
    this.archive = new WalArchive(storage);
  }

  static async open(): Promise<ArchiverLab> {
    const directory = temporaryDirectory();
    return new ArchiverLab(directory, new FaultyStorage(await openRemoteStorage(join(directory.path, 'remote'))));
  }

  /** One of three safekeepers, with all of `wal` committed. */
  async member(id: number, identity: TimelineIdentity, wal: WalSource, history?: TermHistory): Promise<Member> {
    const node = nodeId(id);
    const registry = await this.emptyRegistry(id);
    const { timelineStartLsn } = identity;
    const timeline = await registry.add({
      identity,
      localStartLsn: timelineStartLsn,
      write(writer) {
        writer.append(wal.bytes(timelineStartLsn, wal.endLsn));
        const control = createControl(node, identity, testConfiguration(3));
        return Promise.resolve({
          ...control,
          history: history ?? control.history,
          term: history?.at(-1)?.term ?? control.term,
          commitLsn: wal.endLsn,
        });
      },
    });
    const metrics = archiveMetrics(new Registry());
    const member = { registry, timeline, metrics, archiver: this.newArchiver(id, registry, metrics) };
    this.#members.push(member);
    return member;
  }

  /** A safekeeper's timelines before there are any. */
  async emptyRegistry(id: number): Promise<TimelineRegistry> {
    const registry = await TimelineRegistry.open({
      node: nodeId(id),
      dataDirectory: join(this.#directory.path, `safekeeper-${id}`),
      disk: localDisk,
      clock: { defer: (callback) => systemClock.defer(callback), every: () => () => undefined },
      log,
      metrics: timelineMetrics(new Registry()),
      timelinesMax: 1,
      archive: this.archive,
    });
    this.#registries.push(registry);
    return registry;
  }

  /** An archiver that remembers nothing, as after a restart. */
  newArchiver(id: number, registry: TimelineRegistry, metrics: ArchiveMetrics): Archiver {
    const { archive } = this;
    return new Archiver({ node: nodeId(id), archive, registry, log, metrics, nowMs: () => this.nowMs });
  }

  async close(): Promise<void> {
    for (const { archiver } of this.#members) await archiver.stop();
    for (const registry of this.#registries) await registry.close();
    this.archive.close();
    this.#directory.remove();
  }
}
