import { tokensOf, type Tokens } from '@zenith/auth';
import { assert, formatLsn, type Lsn } from '@zenith/base';
import type { Configuration, Term } from '@zenith/consensus';
import { PageClient, type PageServerAddress } from '@zenith/wire';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { buildDataDirectory } from '../data-directory/builder.ts';
import { fixedArguments, loopbackOf } from '../data-directory/configuration.ts';
import { SnapshotClient } from '../data-directory/snapshot-client.ts';
import { readSystemSettings } from '../data-directory/system-settings.ts';
import { LagMonitor } from '../backpressure/lag-monitor.ts';
import { ComputeError } from '../errors.ts';
import { resolveInstallation, type Installation } from '../installation/installation.ts';
import { chooseOsUser, type OsUser } from '../os-user/os-user.ts';
import { Staging } from '../os-user/staging.ts';
import { PhaseTimer } from '../phase-timer.ts';
import { endLeftovers } from '../postgres/leftovers.ts';
import { PostgresProcess, describeExit, type PostgresExit, type StopMode } from '../postgres/postgres-process.ts';
import { LocalWal } from '../wal-proposer/local-wal.ts';
import type { SafekeeperAddress } from '../wal-proposer/safekeeper-address.ts';
import { WalForwarder } from '../wal-proposer/wal-forwarder.ts';
import { WalProposer, endError, type ElectionResult, type ProposerEnd } from '../wal-proposer/wal-proposer.ts';
import type { ComputeConfig } from './config.ts';
import type { DiscardedFiles } from './discarded-files.ts';
import { findWalTail } from './find-wal-tail.ts';
import { requirePortFree } from './port.ts';
import type { BackpressureStatus } from './status.ts';
import { preloadLibraryPath } from './preload-library.ts';
import { PageRelay } from './page-relay.ts';
import { SnapshotLease } from './snapshot-lease.ts';

/** Size of a WAL segment of every cluster `zenith init` makes. Unit: bytes. */
const WAL_SEGMENT_SIZE = 16 * 1024 * 1024;

/** Processes of PostgreSQL that no look finds, and that still live so long after its postmaster, cannot be waited for. Unit: milliseconds. */
const GONE_MAX_MS = 10_000;

/** What a run tells of itself, once PostgreSQL runs or while it is being brought up. */
export type RunEvent =
  /** However it went, and whether it was asked to or not. */
  | { readonly kind: 'postgres-exited'; readonly exit: PostgresExit }
  /** Fenced, or the quorum cannot be used any more. PostgreSQL was told to quit already. */
  | { readonly kind: 'proposer-ended'; readonly end: ProposerEnd }
  /** PostgreSQL refuses to stream its WAL, for a reason that does not pass. */
  | { readonly kind: 'wal-refused'; readonly error: Error };

/** What a run starts from. */
export interface ComputeRunOptions {
  readonly config: ComputeConfig;
  /** The compute's folder in the repository. */
  readonly dataDir: string;
  readonly log: Logger;
  readonly discarded: DiscardedFiles;
  /** Of a run that follows another one of the same supervisor: the highest term asked for so far. */
  readonly continuesTerm?: Term | undefined;
  /** What ALTER SYSTEM set in the run before. */
  readonly systemSettings?: Uint8Array | undefined;
  readonly onEvent: (event: RunEvent) => void;
  /** The safekeepers are in a newer configuration, in which this run goes on. */
  readonly onReconfigured: (configuration: Configuration) => void;
}

/** One run of a compute: one term, one data directory, one PostgreSQL. It is brought up once, told to end once, and of no use afterwards. */
export class ComputeRun {
  readonly #options: ComputeRunOptions;
  readonly #tokens: Tokens;
  readonly #proposer: WalProposer;
  readonly #phases = new PhaseTimer();
  /** Rejects when what the run needs has ended. */
  readonly #broken: Promise<never>;
  #break: (error: Error) => void = () => undefined;
  #election: ElectionResult | undefined;
  #postgres: PostgresProcess | undefined;
  #forwarder: WalForwarder | undefined;
  #lagMonitor: LagMonitor | undefined;
  #computeDir: string | undefined;
  #lease: SnapshotLease | undefined;
  #relay: PageRelay | undefined;
  #ending = false;

  constructor(options: ComputeRunOptions) {
    this.#options = options;
    const { config, log, continuesTerm } = options;
    this.#tokens = tokensOf(config);
    this.#proposer = new WalProposer({
      tokens: this.#tokens,
      identity: {
        tenant: config.tenant,
        timeline: config.timeline,
        pgMajor: config.postgres.major,
        systemId: config.systemId,
        segmentSize: WAL_SEGMENT_SIZE,
        timelineStartLsn: config.startLsn,
      },
      safekeepers: config.safekeepers,
      configuration: config.configuration,
      continuesTerm,
      log,
    });
    this.#proposer.onReconfigured = options.onReconfigured;
    this.#broken = new Promise<never>((_, reject) => {
      this.#break = reject;
    });
    this.#broken.catch(() => undefined); // of interest only while somebody waits for something else
  }

  /** What the election settled; undefined before. */
  get election(): ElectionResult | undefined {
    return this.#election;
  }

  /** What a quorum has; undefined before the election. */
  get commitLsn(): Lsn | undefined {
    return this.#election === undefined ? undefined : this.#proposer.commitLsn;
  }

  /** End of the WAL that came from PostgreSQL; undefined before the election. */
  get receivedLsn(): Lsn | undefined {
    return this.#election === undefined ? undefined : this.#proposer.endLsn;
  }

  /** Remembers where safekeepers are that may become members. */
  learnSafekeepers(addresses: readonly SafekeeperAddress[]): void {
    this.#proposer.learnAddresses(addresses);
  }

  /** How far pageserver and archive lag, and what that does to commits; undefined before WAL flows. */
  get backpressure(): BackpressureStatus | undefined {
    if (this.#forwarder === undefined || this.#lagMonitor === undefined) return undefined;
    const { delayMs, heldCount } = this.#forwarder.throttle;
    const { ingestLag, archiveLag } = this.#lagMonitor;
    return { delaySeconds: delayMs / 1000, heldCount, ingestLag, archiveLag };
  }

  /** The highest term this run, or one it continues, has asked for. */
  get termAsked(): Term {
    return this.#proposer.termAsked;
  }

  /** The postmaster's process id while it runs. */
  get postgresPid(): number | undefined {
    return this.#postgres?.pid;
  }

  /** How PostgreSQL crashed, for a person: its postmaster was killed, or gave up after one of its processes was. Undefined when it runs, or ended for another reason. */
  get crash(): string | undefined {
    const exit = this.#postgres?.exit;
    if (exit === undefined) return undefined;
    return exit.signal === null ? this.#postgres?.crashReport : `the postmaster ended with ${describeExit(exit)}`;
  }

  /** How long the parts of the start took, for the log. */
  get durations(): Readonly<Record<string, number>> {
    return this.#phases.durations;
  }

  /**
   * Brings PostgreSQL up; resolves when it takes connections and its commits reach the quorum. When it fails, {@link end} is still to be called.
   * @throws whatever kept it from starting
   */
  async bringUp(): Promise<void> {
    const { config, dataDir, log, discarded } = this.#options;
    const user = chooseOsUser(config.postgres.osUser);
    const staging = new Staging(user, (message) => log.info({}, message));
    const installation = staging.installation(resolveInstallation(config.postgres.major, config.postgres.binDir));
    const computeDir = staging.directory(dataDir);
    const library = staging.library(preloadLibraryPath());
    await endLeftovers(computeDir);
    this.#computeDir = computeDir;
    await requirePortFree(config.postgres.host, config.postgres.port);
    this.#phases.end('prepareMs');
    this.#assertNotEnding();

    this.#election = await this.#proposer.elect(config.timeouts.electionMs);
    this.#phases.end('electionMs');
    this.#proposer.onEnd = (end): void => this.#onProposerEnd(end);
    this.#assertNotEnding();
    const used = await discarded.moveAside(computeDir, ['pgdata', 'tablespaces']);
    this.#assertNotEnding();
    await Promise.race([this.#build(computeDir, used, user, this.#election), this.#broken]);
    this.#assertNotEnding();
    await this.#startPostgres(installation, user, library, computeDir);
    discarded.remove();
  }

  /** Asks PostgreSQL to stop and resolves when its postmaster is gone. @returns the mode that did it */
  async stopPostgres(mode: StopMode): Promise<StopMode> {
    this.#ending = true;
    return this.#postgres === undefined ? mode : this.#postgres.stop(mode, this.#options.config.timeouts.stopMs);
  }

  /** Has PostgreSQL quit; returns at once. */
  quitPostgres(): void {
    this.#postgres?.quit();
  }

  /** Resolves true when a quorum of safekeepers has said that it knows of the commit point, false when that takes longer than `timeoutMs`. */
  commitKnown(timeoutMs: number): Promise<boolean> {
    return this.#proposer.commitKnown(this.#proposer.commitLsn, timeoutMs);
  }

  /** What ALTER SYSTEM has set; to be asked after {@link end}. */
  get systemSettings(): Uint8Array | undefined {
    return this.#computeDir === undefined ? undefined : readSystemSettings(join(this.#computeDir, 'pgdata'));
  }

  /**
   * Ends all there is, PostgreSQL first, down to its last process.
   * @throws ComputeError `already-running` when processes of PostgreSQL cannot be ended; all else has ended then
   */
  async end(): Promise<void> {
    this.#ending = true;
    try {
      await this.#postgres?.stop('immediate', 0);
      if (this.#computeDir !== undefined) await endLeftovers(this.#computeDir);
    } finally {
      this.#lagMonitor?.close();
      await this.#forwarder?.close();
      this.#proposer.close();
      this.#relay?.close();
      await this.#lease?.end();
    }
  }

  /**
   * After {@link end}: resolves when every process PostgreSQL has forked is gone, those that /proc does not show to this user too. Only then may others use its files.
   * @throws ComputeError `already-running` when that takes too long
   */
  async gone(): Promise<void> {
    const timer = new AbortController();
    const gone = await Promise.race([
      this.#postgres?.gone.then(() => true) ?? true,
      sleep(GONE_MAX_MS, false, { signal: timer.signal }).catch(() => false), // rejects on abort, when nobody looks any more
    ]);
    timer.abort();
    if (!gone)
      throw new ComputeError(
        'already-running',
        `a process that PostgreSQL started is still there ${GONE_MAX_MS} ms after it, and may use its files`,
      );
  }

  /** Builds the directory; the files `used` are made use of. */
  async #build(
    computeDir: string,
    used: readonly string[],
    user: OsUser,
    { startLsn, donor, term }: ElectionResult,
  ): Promise<void> {
    const { config, log, systemSettings } = this.#options;
    const { tenant, timeline, pageserver, postgres, systemId, timeouts } = config;
    const tokens = this.#tokens;
    const http = { host: pageserver.host, port: pageserver.httpPort, tenant, timeline, tokens };
    const snapshots = new SnapshotClient(http);
    const pageServer: PageServerAddress = { kind: 'tcp', host: pageserver.host, port: pageserver.port };
    const owner = user.spawnAs.uid === undefined ? undefined : { uid: user.uid, gid: user.gid };
    const relayPath = join(computeDir, 'pages.sock');
    if (config.auth !== undefined || config.tls !== undefined)
      this.#relay = await PageRelay.listen({ path: relayPath, owner, pageserver, tenant, timeline, tokens, log });
    let pages: PageClient | undefined;
    const tail = findWalTail({ config, segmentSize: WAL_SEGMENT_SIZE, startLsn, donor, term, log });
    tail.catch(() => undefined); // it is awaited late; until then its failure is not unhandled
    try {
      const snapshot = snapshots.snapshot(startLsn, timeouts.pageserverMs);
      await snapshots.waitFor(startLsn, timeouts.pageserverMs);
      this.#phases.end('ingestWaitMs');
      this.#lease = new SnapshotLease(new SnapshotClient(http), startLsn, log);
      const leased = this.#lease.begin();
      leased.catch(() => undefined); // it is awaited late; until then its failure is not unhandled
      const built = await buildDataDirectory({
        tenant,
        timeline,
        systemId,
        startLsn,
        pgdata: join(computeDir, 'pgdata'),
        tablespaces: join(computeDir, 'tablespaces'),
        pageServer: this.#relay === undefined ? pageServer : { kind: 'unix', path: relayPath },
        major: postgres.major,
        segmentSize: WAL_SEGMENT_SIZE,
        presenceMap: join(computeDir, 'presence.map'),
        usedFiles: used,
        owner,
        server: postgres,
        systemSettings,
        snapshot,
        tail,
        readPages: async (relation, block, count) => {
          pages ??= await PageClient.connect({
            address: pageServer,
            tenant,
            timeline,
            token: tokens.token(timeline),
            trust: tokens.trust,
            timeoutMs: timeouts.pageserverMs,
          });
          return pages.getPages(relation, block, count, startLsn);
        },
        nowMs: Date.now(),
        phases: this.#phases,
      });
      await leased;
      log.info(
        {
          files: built.files,
          blocks: built.blocks,
          startLsn: formatLsn(startLsn),
          checkpointEndLsn: formatLsn(built.checkpointEndLsn),
        },
        'data directory built',
      );
    } finally {
      pages?.close();
      snapshots.close();
    }
  }

  async #startPostgres(installation: Installation, user: OsUser, library: string, computeDir: string): Promise<void> {
    const { config, dataDir, log, onEvent } = this.#options;
    const { postgres, timeouts } = config;
    const pgdata = join(computeDir, 'pgdata');
    this.#proposer.localWal = new LocalWal(pgdata, WAL_SEGMENT_SIZE);
    assert(this.#postgres === undefined, 'a run has one PostgreSQL');
    const process = PostgresProcess.start({
      installation,
      user,
      pgdata,
      args: fixedArguments(postgres),
      preload: { library, presenceMap: join(computeDir, 'presence.map') },
      logFile: join(dataDir, 'postgres.log'),
    });
    this.#postgres = process;
    void process.exited.then((exit) => {
      this.#break(
        new ComputeError('postgres-exited', `PostgreSQL ended with ${describeExit(exit)} before its WAL was streamed`),
      );
      onEvent({ kind: 'postgres-exited', exit });
    });
    try {
      await process.ready(timeouts.postgresReadyMs);
    } catch (error) {
      if (process.exit !== undefined) await requirePortFree(postgres.host, postgres.port); // somebody may have taken it meanwhile
      throw error;
    }
    this.#phases.end('postgresReadyMs');
    this.#assertNotEnding();
    this.#forwarder = new WalForwarder({
      proposer: this.#proposer,
      host: loopbackOf(postgres.host),
      port: postgres.port,
      user: postgres.user,
      log,
      onFailure: (error) => {
        this.#break(error);
        onEvent({ kind: 'wal-refused', error });
      },
    });
    await Promise.race([this.#forwarder.streaming, this.#broken]);
    const { throttle } = this.#forwarder;
    this.#lagMonitor = new LagMonitor({
      tenant: config.tenant,
      timeline: config.timeline,
      tokens: this.#tokens,
      limits: config.backpressure,
      safekeepers: () => this.#proposer.safekeepers,
      commitLsn: () => this.#proposer.commitLsn,
      onDelay: (delayMs) => {
        if (delayMs > 0 !== throttle.delayMs > 0)
          log.warn(
            { delayMs },
            delayMs > 0 ? 'commits are slowed down: ingest or archive lags' : 'commits are not slowed down any more',
          );
        throttle.delayMs = delayMs;
      },
    });
    this.#phases.end('streamingMs');
  }

  /** No commit will ever be acknowledged again, so PostgreSQL must not go on; it is told before anybody else. */
  #onProposerEnd(end: ProposerEnd): void {
    this.#postgres?.quit();
    this.#break(endError(end));
    this.#options.onEvent({ kind: 'proposer-ended', end });
  }

  #assertNotEnding(): void {
    if (this.#ending) throw new ComputeError('interrupted', 'the compute was stopped while it was starting');
  }
}
