import { AssertionError, CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import type { AcceptorMessage, NodeId, TimelineIdentity } from '@zenith/consensus';
import { decodeAcceptorMessage, type CopyDataHandler } from '@zenith/wire';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { Clock } from '../../packages/safekeeper/src/clock/clock.ts';
import { ProposerConnection, type ProposerSession } from '../../packages/safekeeper/src/receive/proposer-connection.ts';
import { recoveryMetrics } from '../../packages/safekeeper/src/peer/metrics.ts';
import { PeerRecovery } from '../../packages/safekeeper/src/peer/peer-recovery.ts';
import type { Peer } from '../../packages/safekeeper/src/peer/peer.ts';
import { timelineMetrics } from '../../packages/safekeeper/src/timeline/metrics.ts';
import { TimelineRegistry } from '../../packages/safekeeper/src/timeline/registry.ts';
import type { Timeline } from '../../packages/safekeeper/src/timeline/timeline.ts';
import type { Checker, Tail } from './checker.ts';
import type { Counters } from './counters.ts';
import { SimulatedDisk, SimulatedError } from './disk.ts';
import type { Events } from './events.ts';
import type { Connection, Endpoint, Parcel } from './network.ts';
import { SafetyViolation } from './violation.ts';

const METRICS = timelineMetrics(new Registry());
const RECOVERY_METRICS = recoveryMetrics(new Registry());

/** Between two looks at what the others have. Unit: simulated milliseconds. */
const LOOK_INTERVAL_MS = 300;

const DATA_DIRECTORY = '/safekeeper';

/** What a vote says beside its message: who asked, and the end of the acceptor's WAL. */
export interface VoteNote {
  readonly tail: Tail;
}

/** A session as the safekeeper's shell sees it, on a simulated connection. */
class Session implements ProposerSession, Endpoint {
  connection: Connection | undefined;
  handler: ProposerConnection | undefined;
  readonly #describe: (message: AcceptorMessage) => unknown;
  readonly #events: Events;
  #onData: CopyDataHandler | undefined;
  #paused = false;
  #failed = false;
  readonly #waiting: Parcel[] = [];

  constructor(events: Events, describe: (message: AcceptorMessage) => unknown) {
    this.#events = events;
    this.#describe = describe;
  }

  startCopyBoth(handler: CopyDataHandler): ReturnType<ProposerSession['startCopyBoth']> {
    this.#onData = handler;
    return {
      send: (...parts) => {
        const bytes = Buffer.concat(parts);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const note = this.#describe(decodeAcceptorMessage(view, 0, bytes.length));
        this.connection?.send(1, { bytes, note });
        return true;
      },
      unsentBytes: 0,
      pause: () => {
        this.#paused = true;
      },
      resume: () => {
        this.#paused = false;
        this.#drain();
      },
    };
  }

  fail(error: Error): void {
    this.#events.note(`refused: ${error.message}`);
    this.#failed = true;
    this.connection?.close(1);
    this.#events.after(0, () => this.handler?.closed());
  }

  receive(parcel: Parcel): void {
    this.#waiting.push(parcel);
    this.#drain();
  }

  closed(): void {
    this.#failed = true;
    this.handler?.closed();
  }

  #drain(): void {
    while (!this.#paused && !this.#failed) {
      const parcel = this.#waiting.shift();
      if (parcel === undefined) return;
      const { bytes } = parcel;
      this.#onData?.(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
    }
  }
}

/** The other safekeepers, for a process that hears their answers only while it is alive. */
export type PeersOf = (alive: () => boolean) => readonly Peer[];

/** One safekeeper: the production's timelines, WAL storage and control file, on a simulated disk, clock and network. */
export class SafekeeperNode {
  readonly id: NodeId;
  readonly disk: SimulatedDisk;
  readonly #events: Events;
  readonly #counters: Counters;
  readonly #checker: Checker;
  readonly #identity: TimelineIdentity;
  #registry: TimelineRegistry | undefined;
  #timeline: Timeline | undefined;
  #process = 0;
  #up = false;
  #nextPeer = 1;
  /** Whom it gets WAL from while nobody leads; null: it does not ask. */
  #peers: PeersOf | null = null;
  #verifiedLsn: Lsn;
  #connections = new Set<Connection>();

  constructor(
    id: NodeId,
    identity: TimelineIdentity,
    events: Events,
    random: Random,
    counters: Counters,
    checker: Checker,
  ) {
    this.id = id;
    this.#identity = identity;
    this.#events = events;
    this.#counters = counters;
    this.#checker = checker;
    this.disk = new SimulatedDisk(events, random, counters);
    this.#verifiedLsn = identity.timelineStartLsn;
  }

  /** From the next start on it copies from these what it missed, while nobody leads. */
  usePeers(peers: PeersOf): void {
    this.#peers = peers;
  }

  /** True while a process runs and has read its files. */
  get isUp(): boolean {
    return this.#up;
  }

  /** True when it takes no more WAL until it is started again. Where the disk was full it goes on by itself. */
  get isBroken(): boolean {
    return this.#up && (this.#registry?.broken.length ?? 0) > 0;
  }

  /** The timeline, once it exists here. */
  get timeline(): Timeline | undefined {
    return this.#up ? this.#timeline : undefined;
  }

  /** Starts the process; it is up once it has read its files. */
  start(): void {
    const process = ++this.#process;
    const alive = (): boolean => process === this.#process;
    const disk = this.disk.mount();
    const clock: Clock = {
      defer: (callback) =>
        this.#events.after(0, () => {
          if (alive()) callback();
        }),
      every: (intervalMs, callback) => {
        let stopped = false;
        const next = (): void =>
          this.#events.after(intervalMs, () => {
            if (stopped || !alive()) return;
            callback();
            next();
          });
        next();
        return () => {
          stopped = true;
        };
      },
    };
    disk.makeDirectory(DATA_DIRECTORY);
    const opened = TimelineRegistry.open({
      node: this.id,
      dataDirectory: DATA_DIRECTORY,
      disk,
      clock,
      log: this.#log(),
      metrics: METRICS,
      timelinesMax: 10,
    });
    opened.then(
      (registry) => {
        if (!alive()) return;
        for (const { error } of registry.unreadable) {
          const { cause } = error;
          // A fault that was injected may hit a start; anything else is damage, which nothing here does.
          if (!(cause instanceof SimulatedError))
            this.#fail(new SafetyViolation(`safekeeper ${this.id}: ${error.message}`));
        }
        this.#registry = registry;
        this.#up = true;
        this.#timeline = undefined;
        this.#verifiedLsn = this.#identity.timelineStartLsn;
        for (const timeline of registry.timelines) this.#watch(timeline);
        if (this.#peers !== null) this.#recoverFrom(this.#peers(alive), registry, clock);
      },
      (error: unknown) => this.#fail(error as Error),
    );
  }

  #recoverFrom(peers: readonly Peer[], registry: TimelineRegistry, clock: Clock): void {
    const recovery = new PeerRecovery({
      registry,
      clock,
      log: this.#log(),
      metrics: RECOVERY_METRICS,
      intervalMs: LOOK_INTERVAL_MS,
    });
    recovery.replacePeers(peers);
    recovery.start();
  }

  /** The process dies. @param power the machine does, too: what was not synced may be lost */
  kill(power: boolean): void {
    this.#process++;
    this.#up = false;
    this.#registry = undefined;
    this.#timeline = undefined;
    for (const connection of this.#connections) connection.abandon(1);
    this.#connections.clear();
    if (power) this.disk.crash();
    else this.disk.kill();
  }

  /** A proposer connects. @returns its end, and what to do with the connection; undefined when nobody listens */
  accept(compute: number): { readonly endpoint: Endpoint; use(connection: Connection): void } | undefined {
    if (this.#registry === undefined || !this.#up) return undefined;
    const registry = this.#registry;
    const { tenant, timeline } = this.#identity;
    const session = new Session(this.#events, (message) => this.#describe(message, compute));
    return {
      endpoint: session,
      use: (connection) => {
        this.#connections.add(connection);
        session.connection = connection;
        session.handler = new ProposerConnection(this.#nextPeer++, session, registry, {
          tenant,
          timeline,
          term: null,
          applicationName: 'simulation',
        });
      },
    };
  }

  /** What a donor gives: WAL up to its flush LSN, only while its term is `term`. */
  readForTerm(begin: Lsn, end: Lsn, term: number): Uint8Array | undefined {
    const { timeline } = this;
    if (timeline === undefined || timeline.term !== term || timeline.flushLsn < end) return undefined;
    return this.read(begin, end);
  }

  /** Its WAL, whatever it is worth. */
  read(begin: Lsn, end: Lsn): Uint8Array {
    const bytes = new Uint8Array(end - begin);
    const segments = this.#timeline?.segments;
    if (segments === undefined) return bytes;
    for (let at: number = begin; at < end;) {
      const position = at % segments.size;
      const length = Math.min(end - at, segments.size - position);
      bytes.set(this.disk.peek(segments.path(segments.numberOf(at as Lsn)), position, length), at - begin);
      at += length;
    }
    return bytes;
  }

  #describe(message: AcceptorMessage, compute: number): VoteNote | null {
    this.#events.note(`${this.id} says ${message.type} ${message.term}`);
    // The timeline is made by a greeting, which this may answer.
    if (this.#timeline === undefined) for (const timeline of this.#registry?.timelines ?? []) this.#watch(timeline);
    if (message.type !== 'voteReply') return null;
    if (message.granted) {
      this.#counters.count('vote granted');
      this.#check(() => this.#checker.voted(this.id, message.term, compute));
    } else this.#counters.count('vote refused');
    const startLsn = message.commitLsn;
    return { tail: { startLsn, bytes: this.read(startLsn, message.flushLsn) } };
  }

  #watch(timeline: Timeline): void {
    this.#timeline = timeline;
    timeline.onAdvance(() => this.#verify(timeline));
    this.#verify(timeline);
  }

  #verify(timeline: Timeline): void {
    const { commitLsn } = timeline;
    if (commitLsn < this.#verifiedLsn)
      this.#fail(new SafetyViolation(`the commit LSN of safekeeper ${this.id} decreased to ${formatLsn(commitLsn)}`));
    if (commitLsn === this.#verifiedLsn) return;
    const startLsn = this.#verifiedLsn;
    this.#check(() =>
      this.#checker.served(`safekeeper ${this.id}`, { startLsn, bytes: this.read(startLsn, commitLsn) }),
    );
    this.#verifiedLsn = commitLsn;
  }

  /** A check in the middle of production's code, which would take what it throws for a failure of its own. */
  #check(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Thrown where nobody catches it but the simulation. */
  #fail(error: Error): void {
    this.#events.after(0, () => {
      throw error;
    });
  }

  /** What the log says of things that must not be is a find. */
  #log(): Logger {
    const note = (fields: unknown, message: string): void => {
      this.#events.note(message);
      this.#counters.count(`log: ${message}`);
      if (message === 'a proposer would drop committed WAL' || message === 'a proposer sent WAL that is not valid')
        this.#fail(new SafetyViolation(`safekeeper ${this.id}: ${message}`));
      if (message === 'a peer has more WAL, which is not copied') {
        const { verdict } = fields as { readonly verdict: string };
        this.#counters.count(`not copied: ${verdict}`);
      }
      if (message === 'WAL could not be copied from a peer') {
        const { err } = fields as { readonly err: Error };
        if (err instanceof CorruptionError || err instanceof AssertionError)
          this.#fail(new SafetyViolation(`safekeeper ${this.id}: ${err.message}`));
      }
      if (message === 'timeline broken') {
        // By a fault that was injected; an assertion comes by itself.
        const { err } = fields as { readonly err: Error };
        if (!(err instanceof SimulatedError) && !(err instanceof AssertionError))
          this.#fail(new SafetyViolation(`safekeeper ${this.id}: ${err.message}`));
      }
    };
    const log = { info: note, warn: note, error: note, debug: note, child: () => log };
    return log as unknown as Logger;
  }
}
