import { assert, formatLsn, lsn, type Lsn } from '@zenith/base';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ComputeError, messageOf } from '../errors.ts';
import { describeExit, type PostgresExit, type StopMode } from '../postgres/postgres-process.ts';
import type { SafekeeperAddress } from '../wal-proposer/safekeeper-address.ts';
import { endError } from '../wal-proposer/wal-proposer.ts';
import { ComputeRun, type RunEvent } from './compute-run.ts';
import type { ComputeConfig } from './config.ts';
import { DiscardedFiles } from './discarded-files.ts';
import { pauseWhileAway, RESTARTS_MAX, RestartPolicy } from './restart-policy.ts';
import type { SupervisorState, SupervisorStatus } from './status.ts';

/** Bound on waiting, at the end, until the safekeepers know the last commit point. Unit: milliseconds. */
const COMMIT_KNOWN_TIMEOUT_MS = 3_000;

/** What may keep a restart from succeeding, and passes: the next attempt may do better. At a first start somebody waits for the answer instead. */
const PASSING = new Set<string>(['safekeepers-unreachable', 'pageserver-unavailable', 'port-taken']);

/** Of these what is not PostgreSQL's fault: it is waited for, however long it takes. */
const STORAGE_AWAY = new Set<string>(['safekeepers-unreachable', 'pageserver-unavailable']);

/** One compute, from its first election to its end: the state machine of status.ts around one run after the other. */
export class Supervisor {
  /** Its safekeepers and their configuration are replaced by what is learnt later: a restart begins with them. */
  #config: ComputeConfig;
  readonly #dataDir: string;
  readonly #log: Logger;
  readonly #discarded: DiscardedFiles;
  readonly #restarts = new RestartPolicy();
  #state: SupervisorState = 'starting';
  #message = 'starting';
  #run: ComputeRun;
  /** What the runs before were elected to and had committed: a run that is not elected yet knows less. */
  #before: Pick<SupervisorStatus, 'startLsn' | 'commitLsn' | 'receivedLsn' | 'term'>;
  #restartCount = 0;
  #runningSinceMs = 0;
  #stopMode: StopMode | undefined;
  #interrupt: (error: Error) => void = () => undefined;
  #ended: (state: SupervisorState) => void = () => undefined;
  /** Resolves with the final state once nothing of the compute runs any more. */
  readonly done: Promise<SupervisorState>;

  /** @param dataDir the compute's folder in the repository */
  constructor(config: ComputeConfig, dataDir: string, log: Logger) {
    this.#config = config;
    this.#dataDir = dataDir;
    this.#log = log;
    this.#before = { startLsn: undefined, commitLsn: undefined, receivedLsn: undefined, term: 0 };
    this.#discarded = new DiscardedFiles((error) =>
      log.warn({ reason: messageOf(error) }, 'the directory of the compute before could not be removed'),
    );
    this.#run = this.#newRun();
    this.done = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  /** What there is to know, at any time. */
  get status(): SupervisorStatus {
    const run = this.#run;
    return {
      state: this.#state,
      startLsn: run.election?.startLsn ?? this.#before.startLsn,
      commitLsn: this.#commitLsn,
      receivedLsn: run.receivedLsn ?? this.#before.receivedLsn,
      term: run.election?.term ?? this.#before.term,
      restarts: this.#restartCount,
      backpressure: run.backpressure,
      postgresPort: this.#config.postgres.port,
      postgresPid: run.postgresPid,
      message: this.#message,
    };
  }

  /**
   * Brings PostgreSQL up; resolves when it takes connections and its commits reach the quorum.
   * @throws whatever kept it from starting; nothing runs then, and {@link done} has resolved
   */
  async start(): Promise<void> {
    const { tenant, timeline, branch, endpoint, postgres } = this.#config;
    this.#log.info({ tenant, timeline, branch, endpoint, postgres: postgres.major }, 'compute is starting');
    try {
      await this.#unlessInterrupted(this.#run.bringUp());
      this.#noteRunning();
    } catch (error) {
      await this.#tearDown(stateAfter(error), messageOf(error));
      throw error;
    }
  }

  /** Remembers where safekeepers are that may become members. */
  learnSafekeepers(addresses: readonly SafekeeperAddress[]): void {
    const known = new Map([...this.#config.safekeepers, ...addresses].map((address) => [address.id, address]));
    this.#config = { ...this.#config, safekeepers: [...known.values()] };
    this.#run.learnSafekeepers(addresses);
  }

  /**
   * Stops the compute; {@link done} resolves when it is gone. `fast` ends when the quorum has the shutdown checkpoint. A second call with `immediate` cuts the first one short. Returns at once.
   */
  stop(mode: StopMode): void {
    switch (this.#state) {
      case 'starting':
        return this.#interrupt(new ComputeError('interrupted', 'the compute was stopped while it was starting'));
      case 'restarting':
        return this.#interrupt(
          new ComputeError('interrupted', 'stopped while it was restarting; every acknowledged commit is safe'),
        );
      case 'stopping':
        if (mode !== 'immediate' || this.#stopMode !== 'fast') return;
        this.#stopMode = 'immediate';
        return this.#run.quitPostgres();
      case 'running':
        this.#stopMode = mode;
        this.#become('stopping', `stopping (${mode})`);
        void this.#stopRunning(mode);
        return;
      default:
        return; // it is over already
    }
  }

  #newRun(continues?: { termAsked: number; systemSettings: Uint8Array | undefined }): ComputeRun {
    return new ComputeRun({
      config: this.#config,
      dataDir: this.#dataDir,
      log: this.#log,
      discarded: this.#discarded,
      continuesTerm: continues?.termAsked,
      systemSettings: continues?.systemSettings,
      onEvent: (event) => this.#onRunEvent(event),
      onReconfigured: (configuration) => {
        this.#config = { ...this.#config, configuration };
      },
    });
  }

  /** At or above every commit that was acknowledged: after another election the safekeepers of its quorum may at first tell of less. */
  get #commitLsn(): Lsn | undefined {
    const { commitLsn } = this.#run;
    if (commitLsn === undefined || this.#before.commitLsn === undefined) return commitLsn ?? this.#before.commitLsn;
    return lsn(Math.max(commitLsn, this.#before.commitLsn));
  }

  #onRunEvent(event: RunEvent): void {
    const awake = this.#state === 'running' || this.#state === 'stopping';
    switch (event.kind) {
      case 'proposer-ended': {
        const error = endError(event.end);
        if (awake) void this.#fail(stateAfter(error), error.message);
        else this.#interrupt(error);
        return;
      }
      case 'wal-refused':
        // While it is brought up, that fails by itself.
        if (awake) void this.#fail('failed', `PostgreSQL does not stream its WAL any more: ${event.error.message}`);
        return;
      case 'postgres-exited':
        if (this.#state === 'running') void this.#onPostgresExit(event.exit);
    }
  }

  /** PostgreSQL ended, and not because this supervisor asked it to. */
  #onPostgresExit(exit: PostgresExit): Promise<void> {
    if (exit.code === 0) return this.#afterShutdown();
    this.#restarts.noteRun(performance.now() - this.#runningSinceMs);
    return this.#restart(this.#run.crash ?? `the postmaster ended with ${describeExit(exit)}; see postgres.log`);
  }

  /** The postmaster shuts down when a signal asks it to: somebody wanted that, so it is not started again. */
  async #afterShutdown(): Promise<void> {
    this.#stopMode = 'immediate'; // there is nothing left to be asked
    this.#become('stopping', 'PostgreSQL was shut down by somebody else than its supervisor');
    this.#log.warn({}, this.#message);
    await this.#run.commitKnown(COMMIT_KNOWN_TIMEOUT_MS);
    if (this.#state !== 'stopping') return; // fenced meanwhile
    await this.#tearDown('stopped', `${this.#message}; every acknowledged commit is safe`);
  }

  /**
   * What PostgreSQL's files are after a crash nobody can trust: a process that was killed inside of a write leaves a torn page. So the compute goes through its start again, from the election on.
   */
  async #restart(why: string): Promise<void> {
    this.#become('restarting', why);
    try {
      await this.#unlessInterrupted(this.#replaceRun(why));
      this.#noteRunning();
    } catch (error) {
      const state = stateAfter(error);
      if (state !== 'stopped') this.#log.error({ state }, messageOf(error));
      await this.#tearDown(state, messageOf(error));
    }
  }

  /** Ends the run that crashed and brings another one up, in as many attempts as are allowed; those that find storage away do not count. */
  async #replaceRun(why: string): Promise<void> {
    let reason = why;
    let systemSettings: Uint8Array | undefined;
    let foundAway = 0;
    for (let first = true; ; first = false) {
      this.#assertRestarting();
      const pauseMs = foundAway > 0 ? pauseWhileAway(foundAway) : this.#restarts.next(performance.now());
      if (pauseMs === undefined)
        throw new ComputeError(
          'postgres-exited',
          `PostgreSQL was restarted ${RESTARTS_MAX} times in a row and is given up: ${reason}; see postgres.log`,
        );
      this.#restartCount++;
      this.#log.warn(
        { reason, restarts: this.#restartCount, pauseMs },
        first ? 'PostgreSQL crashed: the compute is built anew' : 'the restart failed: one more attempt',
      );
      await this.#run.end();
      await this.#run.gone();
      this.#assertRestarting();
      if (first) ({ systemSettings } = this.#run);
      const { startLsn, commitLsn, receivedLsn, term } = this.status;
      this.#before = { startLsn, commitLsn, receivedLsn, term };
      await sleep(pauseMs);
      this.#assertRestarting();
      this.#run = this.#newRun({ termAsked: this.#run.termAsked, systemSettings });
      try {
        return await this.#run.bringUp();
      } catch (error) {
        const code = error instanceof ComputeError ? error.code : '';
        if (this.#run.crash === undefined && !PASSING.has(code)) throw error;
        foundAway = this.#run.crash === undefined && STORAGE_AWAY.has(code) ? foundAway + 1 : 0;
        reason = this.#run.crash ?? messageOf(error);
      }
    }
  }

  #noteRunning(): void {
    assert(this.#commitLsn !== undefined, 'a compute that runs was elected');
    this.#runningSinceMs = performance.now();
    this.#become('running', 'PostgreSQL takes connections');
    this.#log.info(
      { ...this.#run.durations, commitLsn: formatLsn(this.#commitLsn), restarts: this.#restartCount },
      'compute is running',
    );
  }

  async #stopRunning(mode: StopMode): Promise<void> {
    const run = this.#run;
    const how = await run.stopPostgres(mode);
    if (this.#state !== 'stopping') return; // fenced meanwhile
    const { receivedLsn, commitLsn } = run;
    assert(receivedLsn !== undefined && commitLsn !== undefined, 'a compute that ran was elected');
    const known = await run.commitKnown(COMMIT_KNOWN_TIMEOUT_MS);
    const complete = how === 'fast' && this.#stopMode === 'fast' && commitLsn >= receivedLsn;
    this.#log.info(
      { commitLsn: formatLsn(commitLsn), receivedLsn: formatLsn(receivedLsn), known, complete },
      'PostgreSQL stopped',
    );
    await this.#tearDown(
      'stopped',
      complete
        ? 'stopped cleanly'
        : 'stopped without a committed shutdown checkpoint; every acknowledged commit is safe',
    );
  }

  async #fail(state: SupervisorState, message: string): Promise<void> {
    this.#become(state, message);
    this.#log.error({ state }, message);
    await this.#tearDown(state, message);
  }

  /** Ends all there is, PostgreSQL first. The state changes before anything is awaited: what is under way looks at it. */
  async #tearDown(state: SupervisorState, message: string): Promise<void> {
    this.#become(state, message);
    try {
      await this.#run.end();
    } catch (error) {
      this.#log.error({ reason: messageOf(error) }, 'not everything of PostgreSQL could be ended');
    }
    this.#ended(state);
  }

  /** `work`, or the failure that {@link stop} or fencing interrupts it with; `work` then goes on by itself until it sees that the run is ending. */
  async #unlessInterrupted(work: Promise<void>): Promise<void> {
    work.catch(() => undefined); // when the interruption wins, its failure is not news
    const interrupted = new Promise<never>((_, reject) => {
      this.#interrupt = reject;
    });
    try {
      await Promise.race([work, interrupted]);
    } finally {
      this.#interrupt = () => undefined;
    }
  }

  #assertRestarting(): void {
    if (this.#state !== 'restarting')
      throw new ComputeError('interrupted', 'the compute was stopped while it was restarting');
  }

  #become(state: SupervisorState, message: string): void {
    this.#state = state;
    this.#message = message;
  }
}

function stateAfter(error: unknown): SupervisorState {
  if (!(error instanceof ComputeError)) return 'failed';
  if (error.code === 'interrupted') return 'stopped';
  return error.code === 'fenced' ? 'fenced' : 'failed';
}
