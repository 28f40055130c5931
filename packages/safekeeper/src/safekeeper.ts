import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { certificateOf, gateOf, tokensOf } from '@zenith/auth';
import { openRemoteStorage } from '@zenith/remote-storage';
import { PidFile } from '@zenith/service';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Archiver } from './archive/archiver.ts';
import { archiveMetrics } from './archive/metrics.ts';
import { WalArchive } from './archive/wal-archive.ts';
import type { SafekeeperConfiguration } from './configuration/configuration.ts';
import { systemClock } from './clock/clock.ts';
import type { Disk } from './disk/disk.ts';
import { startHttpServer } from './http/server.ts';
import type { DonorAddress } from './peer/donor.ts';
import { recoveryMetrics } from './peer/metrics.ts';
import { LOOK_INTERVAL_MS, PeerRecovery } from './peer/peer-recovery.ts';
import { RemotePeer } from './peer/remote-peer.ts';
import { senderMetrics } from './send/metrics.ts';
import { WalService } from './session/wal-service.ts';
import { timelineMetrics } from './timeline/metrics.ts';
import { TimelineRegistry } from './timeline/registry.ts';

/** Name of the pid file in the data directory. */
const PID_FILE_NAME = 'safekeeper.pid';

/** How often the delay of the event loop is sampled: each time wakes the process. Unit: milliseconds. */
const EVENT_LOOP_SAMPLE_MS = 200;

/** What a safekeeper is started with. */
export interface SafekeeperOptions {
  readonly dataDirectory: string;
  readonly configuration: SafekeeperConfiguration;
  readonly disk: Disk;
  readonly log: Logger;
  readonly version: string;
  /** Milliseconds since the epoch; for the times in the protocol and for timeouts. */
  readonly nowMs: () => number;
  /** Between two looks at what other safekeepers have. Unit: milliseconds. */
  readonly lookIntervalMs?: number;
}

/** Where a safekeeper listens. */
export interface SafekeeperAddresses {
  readonly listen: { readonly host: string; readonly port: number };
  readonly http: { readonly host: string; readonly port: number };
}

/** A running safekeeper. */
export class Safekeeper {
  readonly #pidFile: PidFile;
  readonly #registry: TimelineRegistry;
  readonly #walService: WalService;
  readonly #http: FastifyInstance;
  readonly #archive: WalArchive | undefined;
  readonly #archiver: Archiver | undefined;
  readonly #recovery: PeerRecovery;

  private constructor(
    pidFile: PidFile,
    registry: TimelineRegistry,
    walService: WalService,
    http: FastifyInstance,
    archive: WalArchive | undefined,
    archiver: Archiver | undefined,
    recovery: PeerRecovery,
  ) {
    this.#pidFile = pidFile;
    this.#registry = registry;
    this.#walService = walService;
    this.#http = http;
    this.#archive = archive;
    this.#archiver = archiver;
    this.#recovery = recovery;
  }

  /** Takes the data directory, loads its timelines and serves. @throws SafekeeperError; ServiceError `data-directory-in-use`; nothing is left behind then */
  static async start(options: SafekeeperOptions): Promise<Safekeeper> {
    const { dataDirectory, configuration, disk, log, nowMs } = options;
    const metrics = new Registry();
    collectDefaultMetrics({ register: metrics, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
    const pidFile = PidFile.acquire(join(dataDirectory, PID_FILE_NAME));
    let registry: TimelineRegistry | undefined;
    let walService: WalService | undefined;
    let archive: WalArchive | undefined;
    try {
      const { id, connectionsMax, timelinesMax, remoteStorage, auth } = configuration;
      const gate = gateOf(auth, options.log);
      const certificate = certificateOf(configuration.tls, log);
      archive =
        remoteStorage === undefined ? undefined : new WalArchive(await openRemoteStorage(remoteStorage.location));
      const timelines = (registry = await TimelineRegistry.open({
        node: id,
        dataDirectory,
        disk,
        clock: systemClock,
        log,
        metrics: timelineMetrics(metrics),
        timelinesMax,
        archive,
      }));
      const service = (walService = await WalService.listen({
        ...configuration.listen,
        connectionsMax,
        registry,
        gate,
        certificate,
        log,
        metrics: senderMetrics(metrics),
        nowMs,
      }));
      registerGauges(metrics, timelines, service);
      const archiver = archive === undefined ? undefined : newArchiver(options, archive, timelines, metrics);
      const recovery = new PeerRecovery({
        registry: timelines,
        clock: systemClock,
        log,
        metrics: recoveryMetrics(metrics),
        intervalMs: options.lookIntervalMs ?? LOOK_INTERVAL_MS,
      });
      const tokens = tokensOf(configuration);
      const learnPeers = (peers: readonly DonorAddress[]): void =>
        recovery.replacePeers(peers.filter((peer) => peer.id !== id).map((address) => new RemotePeer(address, tokens)));
      learnPeers(configuration.peers);
      const http = await startHttpServer({
        ...configuration.http,
        id,
        version: options.version,
        registry,
        walService,
        metrics,
        log,
        archive,
        archiver,
        gate,
        certificate,
        tokens,
        learnPeers,
      });
      archiver?.start();
      recovery.start();
      return new Safekeeper(pidFile, registry, walService, http, archive, archiver, recovery);
    } catch (error) {
      await walService?.close();
      await registry?.close();
      archive?.close();
      pidFile.release();
      throw error;
    }
  }

  /** Where it listens, with the ports that were chosen for 0. */
  get addresses(): SafekeeperAddresses {
    const { address, port } = this.#http.server.address() as AddressInfo;
    return { listen: this.#walService.address, http: { host: address, port } };
  }

  /** Ends all connections, makes everything durable, gives the data directory up. */
  async stop(): Promise<void> {
    try {
      await this.#recovery.stop();
      await this.#walService.close();
      await this.#http.close();
      await this.#archiver?.stop();
      await this.#registry.close();
      this.#archive?.close();
    } finally {
      this.#pidFile.release();
    }
  }
}

function newArchiver(
  { configuration, log, nowMs }: SafekeeperOptions,
  archive: WalArchive,
  registry: TimelineRegistry,
  metrics: Registry,
): Archiver {
  return new Archiver({ node: configuration.id, archive, registry, log, metrics: archiveMetrics(metrics), nowMs });
}

function registerGauges(metrics: Registry, registry: TimelineRegistry, walService: WalService): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    const made: Gauge = new Gauge({
      name: `zenith_safekeeper_${name}`,
      help,
      registers: [metrics],
      collect: () => made.set(value()),
    });
  };
  gauge('timelines', 'Timelines that can be read.', () => registry.timelines.length);
  gauge(
    'timelines_broken',
    'Timelines that take no WAL until a restart: damaged files or a failed write.',
    () => registry.broken.length,
  );
  gauge(
    'timelines_waiting_for_room',
    'Timelines that take no WAL until their disk takes writes again (full, or read-only), and go on then.',
    () => registry.waiting.length,
  );
  gauge('wal_archive_lag_bytes', 'Committed WAL that is not in the archive, of the timeline that lags most.', () =>
    Math.max(0, ...registry.timelines.map(({ state: { control } }) => control.commitLsn - control.backupLsn)),
  );
  gauge('proposers', 'Proposers connected.', () => walService.proposerCount);
  gauge('consumers', 'Consumers connected.', () => walService.consumers.length);
}
