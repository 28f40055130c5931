import { NO_TOKENS, type Tokens } from '@zenith/auth';
import { assert, formatLsn, INVALID_LSN, unreachable, type Lsn } from '@zenith/base';
import {
  APPEND_BYTES_MAX_DEFAULT,
  COALESCE_BYTES_MAX_DEFAULT,
  INFLIGHT_BYTES_MAX_DEFAULT,
  ProposerCore,
  allMembers,
  hasQuorum,
  type Configuration,
  type NodeId,
  type ProposerEffect,
  type StopCode,
  type Term,
  type TimelineIdentity,
} from '@zenith/consensus';
import { ComputeError } from '../errors.ts';
import type { LocalWal } from './local-wal.ts';
import { RecentWal } from './recent-wal.ts';
import type { SafekeeperAddress } from './safekeeper-address.ts';
import { SafekeeperLink } from './safekeeper-link.ts';
import { SafekeeperLinks } from './safekeeper-links.ts';

/** What a proposer says to a log. */
export interface ProposerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Whose WAL to propose, and to whom. */
export interface WalProposerOptions {
  /** What safekeepers are shown; nothing when left out. */
  readonly tokens?: Tokens;
  readonly identity: TimelineIdentity;
  /** Where safekeepers are: at least every member of the configuration. */
  readonly safekeepers: readonly SafekeeperAddress[];
  /** Who votes, as far as is known; safekeepers that are in a newer one say so. */
  readonly configuration: Configuration;
  /** For a proposer that follows an earlier one of the same compute: the highest term that one asked for. A higher one that this proposer did not ask for is somebody else's, and fences it before it is elected. */
  readonly continuesTerm?: Term | undefined;
  readonly log: ProposerLog;
  /** Bound on the WAL kept in memory for safekeepers that keep up. Unit: bytes. */
  readonly recentWalBytesMax?: number;
  /** Uniform in [0, 1); for delays only. */
  readonly random?: () => number;
}

/** What an election settled. */
export interface ElectionResult {
  readonly term: Term;
  /** All WAL below is committed; this term's WAL begins here. */
  readonly startLsn: Lsn;
  /** A safekeeper that has all of it. */
  readonly donor: SafekeeperAddress;
}

/** Why a proposer ended. */
export type ProposerEnd =
  | { readonly kind: 'fenced'; readonly term: Term }
  | { readonly kind: 'stopped'; readonly code: StopCode | 'reconfigured'; readonly reason: string };

/** Default of {@link WalProposerOptions.recentWalBytesMax}: what a fast writer makes in a tenth of a second. */
const RECENT_WAL_BYTES_MAX = 16 * 1024 * 1024;

/** Probes to the safekeepers, which also tell an idle proposer of a higher term. Unit: milliseconds. */
const TICK_MS = 1_000;

/** Delay before another election: first and longest. Unit: milliseconds. */
const ELECTION_FIRST_MS = 50;
const ELECTION_MAX_MS = 2_000;

/**
 * The shell around the consensus core: connections, timers and bytes. It knows no PostgreSQL: WAL comes in by {@link append}, the commit point goes out by `onCommit`, and whoever
 * runs PostgreSQL stops it when `onEnd` is called.
 */
export class WalProposer {
  readonly #options: WalProposerOptions;
  readonly #core: ProposerCore;
  readonly #links: SafekeeperLinks;
  readonly #acceptorCommit = new Map<NodeId, Lsn>();
  readonly #random: () => number;
  #recent: RecentWal | undefined;
  #local: LocalWal | undefined;
  #tick: NodeJS.Timeout | undefined;
  #electionTimer: NodeJS.Timeout | undefined;
  #election: ElectionResult | undefined;
  /** WAL is handed to the core at the end of this turn of the event loop. */
  #walScheduled = false;
  #closed = false;
  #onSynced: (result: ElectionResult) => void = () => undefined;
  #end: ProposerEnd | undefined;
  #onEnd: ((end: ProposerEnd) => void) | undefined;
  #onCommit: (commitLsn: Lsn) => void = () => undefined;
  #onAcceptorCommit: () => void = () => undefined;
  #onReconfigured: (configuration: Configuration) => void = () => undefined;

  constructor(options: WalProposerOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#core = new ProposerCore({
      identity: options.identity,
      configuration: options.configuration,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: APPEND_BYTES_MAX_DEFAULT,
      inflightBytesMax: INFLIGHT_BYTES_MAX_DEFAULT,
      coalesceBytesMax: COALESCE_BYTES_MAX_DEFAULT,
    });
    const sources = {
      tenant: options.identity.tenant,
      timeline: options.identity.timeline,
      tokens: options.tokens ?? NO_TOKENS,
      recent: () => this.#recent,
      local: () => this.#local,
      address: (node: NodeId) => this.#links.address(node),
      holder: (position: Lsn, except: NodeId) =>
        this.#core.state.acceptors.find(
          ({ node, stage, flushLsn }) =>
            node !== except && stage === 'streaming' && flushLsn !== null && flushLsn > position,
        )?.node,
    };
    const { log } = options;
    const handlers = {
      connected: (node: NodeId): void => {
        log.info({ safekeeper: node }, 'safekeeper connected');
        this.#run(this.#core.connected(node));
      },
      disconnected: (node: NodeId, reason: string): void => {
        log.warn({ safekeeper: node, reason }, 'safekeeper lost');
        this.#run(this.#core.disconnected(node));
      },
      message: (node: NodeId, message: Parameters<ProposerCore['receive']>[1]): void => {
        if (this.#isOvertaken(message.term)) return this.#giveWay(message.term);
        if (message.type === 'appendReply') this.#noteCommit(node, message.commitLsn);
        this.#run(this.#core.receive(node, message));
      },
    };
    this.#links = new SafekeeperLinks(
      options.safekeepers,
      (address) => new SafekeeperLink(address, sources, handlers, this.#random),
    );
    assert(this.#links.become(allMembers(options.configuration)), 'the address of every member is known');
  }

  /**
   * Wins an election and waits until all WAL before it is committed. Called once.
   * @throws ComputeError `safekeepers-unreachable` when that takes longer than `timeoutMs`, `fenced`
   */
  async elect(timeoutMs: number): Promise<ElectionResult> {
    this.#links.start();
    this.#tick = setInterval(() => this.#onTick(), TICK_MS);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ElectionResult>((resolve, reject) => {
        this.#onSynced = resolve;
        this.#onEnd = (end) => reject(endError(end));
        timer = setTimeout(
          () =>
            reject(
              new ComputeError(
                'safekeepers-unreachable',
                `no quorum of the ${this.#links.size} safekeeper${this.#links.size === 1 ? '' : 's'} agreed within ${timeoutMs} ms: ${this.#describeAcceptors()}`,
              ),
            ),
          timeoutMs,
        );
      });
    } finally {
      clearTimeout(timer);
      this.#onSynced = () => undefined;
      this.#onEnd = undefined;
    }
  }

  /** Whom to tell of a higher commit point: a quorum has all WAL below on disk. Called synchronously, often. */
  set onCommit(callback: (commitLsn: Lsn) => void) {
    this.#onCommit = callback;
  }

  /** Whom to tell, once, that the proposer is over: PostgreSQL must stop, at once when it was fenced. Told at once when it is over already. */
  set onEnd(callback: (end: ProposerEnd) => void) {
    this.#onEnd = callback;
    if (this.#end !== undefined) callback(this.#end);
  }

  /** Whom to tell that the safekeepers, and this proposer, are in a newer configuration. */
  set onReconfigured(callback: (configuration: Configuration) => void) {
    this.#onReconfigured = callback;
  }

  /** Remembers where safekeepers are that may become members. */
  learnAddresses(addresses: readonly SafekeeperAddress[]): void {
    this.#links.learn(addresses);
  }

  /** Where the members are, of both sets while they change. */
  get safekeepers(): readonly SafekeeperAddress[] {
    return this.#links.addresses;
  }

  /** Where PostgreSQL's own WAL files are, for safekeepers that lag by more than is kept in memory. */
  set localWal(local: LocalWal) {
    this.#local = local;
  }

  /** End of the WAL handed in so far; the start LSN before there was any. */
  get endLsn(): Lsn {
    assert(this.#recent !== undefined, 'WAL has an end after the election');
    return this.#recent.endLsn;
  }

  /** What a quorum has. */
  get commitLsn(): Lsn {
    return this.#core.state.commitLsn;
  }

  /** The term led, 0 before the election. */
  get term(): Term {
    return this.#election?.term ?? 0;
  }

  /** The highest term that this proposer, or the one it continues, has asked for. */
  get termAsked(): Term {
    return Math.max(this.#options.continuesTerm ?? 0, this.#core.state.term);
  }

  /** Takes WAL that follows {@link endLsn}; the bytes are only borrowed. What arrives within one turn of the event loop goes out as one append. */
  append(bytes: Uint8Array, offset: number, length: number): void {
    assert(this.#recent !== undefined, 'WAL comes after the election');
    this.#recent.append(bytes, offset, length);
    if (this.#walScheduled) return;
    this.#walScheduled = true;
    queueMicrotask(() => {
      this.#walScheduled = false;
      this.#run(this.#core.wal(this.endLsn));
    });
  }

  /** Resolves true when a quorum of safekeepers has said that it knows of `commitLsn`, false when that takes longer than `timeoutMs`: what it knows it goes on to serve without a proposer. */
  async commitKnown(commitLsn: Lsn, timeoutMs: number): Promise<boolean> {
    const known = (): boolean =>
      hasQuorum(
        this.#core.state.options.configuration,
        (node) => (this.#acceptorCommit.get(node) ?? INVALID_LSN) >= commitLsn,
      );
    if (known()) return true;
    let timer: NodeJS.Timeout | undefined;
    return new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
      this.#onAcceptorCommit = (): void => {
        if (known()) resolve(true);
      };
      this.#run(this.#core.tick());
    }).finally(() => {
      clearTimeout(timer);
      this.#onAcceptorCommit = () => undefined;
    });
  }

  /** Ends all connections after what is queued was sent. The proposer is of no use afterwards. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#tick);
    clearTimeout(this.#electionTimer);
    this.#links.close();
  }

  /** After the election the core sees to it. */
  #isOvertaken(term: Term): boolean {
    return this.#options.continuesTerm !== undefined && this.#election === undefined && term > this.termAsked;
  }

  /** Closed before anybody is told: not one more vote may be asked for, or the newer compute would be fenced by the older. */
  #giveWay(term: Term): void {
    if (this.#closed) return;
    this.close();
    this.#finish({ kind: 'fenced', term });
  }

  #noteCommit(node: NodeId, commitLsn: Lsn): void {
    this.#acceptorCommit.set(node, commitLsn);
    this.#onAcceptorCommit();
  }

  #onTick(): void {
    this.#links.checkAlive(performance.now());
    this.#run(this.#core.tick());
  }

  #run(effects: readonly ProposerEffect[]): void {
    if (this.#closed) return;
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: ProposerEffect): void {
    switch (effect.type) {
      case 'send':
        return this.#links.get(effect.to).send(effect.message);
      case 'append':
        return this.#links.get(effect.to).append(effect.request, effect.donor);
      case 'disconnect':
        return this.#links.get(effect.node).cut(effect.reason);
      case 'scheduleElection':
        this.#electionTimer = setTimeout(
          () => this.#run(this.#core.electionDue()),
          this.#electionDelayMs(effect.attempt),
        );
        return;
      case 'elected': {
        const donor = this.#links.address(effect.donor);
        assert(donor !== undefined, 'the donor is a member');
        this.#election = { term: effect.term, startLsn: effect.startLsn, donor };
        this.#recent = new RecentWal(effect.startLsn, this.#options.recentWalBytesMax ?? RECENT_WAL_BYTES_MAX);
        this.#options.log.info(
          { term: effect.term, startLsn: formatLsn(effect.startLsn), donor: effect.donor },
          'elected',
        );
        return;
      }
      case 'synced':
        assert(this.#election !== undefined, 'an election comes before its end');
        return this.#onSynced(this.#election);
      case 'commitAdvanced':
        return this.#onCommit(effect.commitLsn);
      case 'fenced':
        return this.#finish({ kind: 'fenced', term: effect.term });
      case 'reconfigured':
        return this.#reconfigure(effect.configuration);
      case 'stopped':
        return this.#finish({ kind: 'stopped', code: effect.code, reason: effect.reason });
      default:
        return unreachable(effect);
    }
  }

  /** Goes on with the members of `configuration`. Whoever changes them tells where the new ones are before the safekeepers hear of it. */
  #reconfigure(configuration: Configuration): void {
    const { generation, members, newMembers } = configuration;
    if (!this.#links.become(allMembers(configuration)))
      return this.#finish({
        kind: 'stopped',
        code: 'reconfigured',
        reason: `the safekeepers are in configuration ${generation}, with members that this compute was not told of`,
      });
    this.#options.log.info({ generation, members, newMembers }, 'the members change');
    this.#onReconfigured(configuration);
  }

  #finish(end: ProposerEnd): void {
    this.#end = end;
    this.#onEnd?.(end);
  }

  #electionDelayMs(attempt: number): number {
    return Math.min(ELECTION_MAX_MS, ELECTION_FIRST_MS * 2 ** Math.min(attempt, 10)) * (0.5 + this.#random());
  }

  #describeAcceptors(): string {
    return this.#core.state.acceptors.map(({ node, stage }) => `safekeeper ${node} ${stage}`).join(', ');
  }
}

/** The failure that corresponds to a proposer's end. */
export function endError(end: ProposerEnd): ComputeError {
  if (end.kind === 'fenced')
    return new ComputeError('fenced', `another compute took over this branch in term ${end.term}`);
  return new ComputeError('safekeepers-unreachable', `the safekeepers cannot be used: ${end.reason}`);
}
