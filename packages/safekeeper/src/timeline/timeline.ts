import { assert, AssertionError, CorruptionError, formatLsn, INVALID_LSN, unreachable, type Lsn } from '@zenith/base';
import {
  appendVerdict,
  isNextPiece,
  startAcceptor,
  stepAcceptor,
  type AcceptorEffect,
  type AcceptorInput,
  type AcceptorState,
  type AppendRequest,
  type CommittedWal,
  type Configuration,
  type ConfiguredReport,
  type CopyVerdict,
  type Elected,
  type Greeting,
  type NodeId,
  type PeerId,
  type Term,
  type TimelineIdentity,
  type VoteRequest,
} from '@zenith/consensus';
import type { Logger } from 'pino';
import type { Clock } from '../clock/clock.ts';
import { writesAreRefused } from '../disk/refused-writes.ts';
import { SafekeeperError } from '../errors.ts';
import type { Segments } from '../wal-storage/segments.ts';
import { WalReader, type DistantSegments } from '../wal-storage/wal-reader.ts';
import { Answers } from './answers.ts';
import type { TimelineMetrics } from './metrics.ts';
import type { ProposerPeer } from './peer.ts';
import { TimelineDisk, type TimelineDiskParts } from './timeline-disk.ts';

/** The commit LSN in the control file may lag by this much, which is what a start has to decode again. Unit: bytes. */
const COMMIT_LAG_MAX = 16 * 1024 * 1024;

/** Copied WAL that waits to be durable, at most. Unit: bytes. */
const COPIED_UNSYNCED_MAX = 8 * 1024 * 1024;

/** What a timeline is made of. */
export interface TimelineParts extends TimelineDiskParts {
  readonly node: NodeId;
  readonly clock: Clock;
  /** Where WAL is that was let go here; left out when there is no archive. */
  readonly distant?: DistantSegments | undefined;
}

/**
 * One timeline: the shell around the acceptor. Inputs are taken one at a time and their effects carried out in order; while an effect waits for the disk, the proposers' connections are paused, so
 * that nothing piles up here. WAL alone flows on: its writes are synchronous, and one sync at a time makes durable whatever arrived before it (group commit).
 *
 * A failed write or sync breaks the timeline: nobody knows any more what is on disk, so nothing is acknowledged until a restart has read it again. When the disk was full, {@link resume} does what a restart would. WAL that is committed
 * is still served.
 */
export class Timeline {
  /** Where its WAL lies, for readers. */
  readonly segments: Segments;
  readonly #distant: DistantSegments | undefined;
  readonly #disk: TimelineDisk;
  readonly #log: Logger;
  readonly #metrics: TimelineMetrics;
  readonly #clock: Clock;
  readonly #peers = new Map<PeerId, ProposerPeer>();
  readonly #advanceListeners = new Set<() => void>();
  #state: AcceptorState;
  /** An effect waits for the disk. Only flushes, greetings, configurations, disconnections and who asks for a copy come in meanwhile, and wait here: bounded by the number of connections. */
  #busy = false;
  #waiting: AcceptorInput[] = [];
  #flushing: Promise<void> | undefined;
  #flushScheduled = false;
  /** Raised when the WAL is cut: a flush that began before says nothing any more. */
  #epoch = 0;
  #saving: Promise<void> | undefined;
  /** The effect that is waited for, or was last. */
  #effect: Promise<void> | undefined;
  #resuming: Promise<void> | undefined;
  readonly #configuring = new Answers<ConfiguredReport>();
  readonly #following = new Answers<CopyVerdict>();
  #ingestedLsn = INVALID_LSN;
  #broken: SafekeeperError | undefined;
  #closing = false;

  constructor(parts: TimelineParts) {
    const { control, flushLsn } = parts;
    this.segments = parts.segments;
    this.#distant = parts.distant;
    this.#disk = new TimelineDisk(parts);
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#clock = parts.clock;
    this.#state = startAcceptor(parts.node, { ...control, pendingTruncationLsn: null }, flushLsn);
  }

  /** What it is a WAL of. */
  get identity(): TimelineIdentity {
    return this.#state.control.identity;
  }

  /** The acceptor's state, for status. All that it says is durable, but for LSNs of the control file. */
  get state(): AcceptorState {
    return this.#state;
  }

  get term(): Term {
    return this.#state.control.term;
  }

  get commitLsn(): Lsn {
    return this.#state.control.commitLsn;
  }

  get flushLsn(): Lsn {
    return this.#state.flushLsn;
  }

  /** Why nothing more is accepted, undefined while all is well. */
  get broken(): SafekeeperError | undefined {
    return this.#broken;
  }

  /** True when it takes nothing because the disk is full or read-only: {@link resume} is to be tried from time to time. */
  get waitsForRoom(): boolean {
    return this.#broken?.code === 'disk-full';
  }

  /** Up to where a pageserver has said that it has taken the WAL in, durably or not. */
  get ingestedLsn(): Lsn {
    const { remoteConsistentLsn } = this.#state.control;
    return this.#ingestedLsn > remoteConsistentLsn ? this.#ingestedLsn : remoteConsistentLsn;
  }

  /** A pageserver has taken the WAL below in. */
  noteIngested(lsn: Lsn): void {
    if (lsn > this.#ingestedLsn) this.#ingestedLsn = lsn;
  }

  /** True when whole segments go to an archive. */
  get isArchived(): boolean {
    return this.#distant !== undefined;
  }

  /** Where the WAL begins that a reader gets: what is in the archive counts. */
  get readableLsn(): Lsn {
    const { identity, localStartLsn } = this.#state.control;
    return this.#distant === undefined ? localStartLsn : identity.timelineStartLsn;
  }

  /** A reader of its WAL, to be closed by the caller. */
  openReader(): WalReader {
    return new WalReader(this.segments, this.#distant);
  }

  /** Calls `listener` whenever the commit LSN, the flush LSN or the term changed, or the timeline broke. Returns what takes it back. */
  onAdvance(listener: () => void): () => void {
    this.#advanceListeners.add(listener);
    return () => this.#advanceListeners.delete(listener);
  }

  /** A proposer greets. Its peer is paused, and is resumed when the greeting was answered. */
  attach(peer: ProposerPeer, greeting: Greeting): void {
    if (this.#broken !== undefined || this.#closing) {
      peer.reject(this.#broken?.message ?? 'the safekeeper is shutting down');
      return;
    }
    this.#peers.set(peer.id, peer);
    this.#dispatch({ type: 'message', from: peer.id, message: greeting });
    if (!this.#busy) peer.resume();
  }

  /** Its connection is gone. */
  detach(peer: PeerId): void {
    if (this.#peers.delete(peer)) this.#dispatch({ type: 'disconnected', peer });
  }

  /** A message of an attached peer that is not paused. */
  receive(from: PeerId, message: Greeting | VoteRequest | Elected): void {
    assert(!this.#busy, 'a paused peer hands over nothing');
    this.#dispatch({ type: 'message', from, message });
  }

  /** WAL from an attached peer that is not paused. @param wal the bytes `[beginLsn, endLsn)`, only borrowed */
  append(from: PeerId, message: AppendRequest, wal: Uint8Array): void {
    assert(!this.#busy, 'a paused peer hands over nothing');
    assert(wal.length === message.endLsn - message.beginLsn, 'an append brings its WAL');
    if (this.#broken !== undefined) return;
    let recordLsn = this.#state.recordLsn;
    if (wal.length > 0 && appendVerdict(this.#state, from, message) === 'accept') {
      // Decoded before it is written, so that WAL that is not valid never reaches the disk.
      try {
        recordLsn = this.#disk.decode(wal);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        this.#log.error(
          { lsn: formatLsn(message.beginLsn), term: message.term, err: error },
          'a proposer sent WAL that is not valid',
        );
        this.#peers.get(from)?.reject(error.message);
        return;
      }
    }
    this.#dispatch({ type: 'append', from, message, recordLsn }, wal);
  }

  /** Installs a configuration and a term, for whoever changes the membership. Resolves to where this safekeeper is then. @throws SafekeeperError `timeline-broken` */
  async configure(configuration: Configuration, term: Term): Promise<ConfiguredReport> {
    if (this.#broken !== undefined) throw this.#broken;
    const report = this.#configuring.next();
    this.#dispatch({ type: 'configure', configuration, term });
    return report;
  }

  /** Has no leader brought what another safekeeper has committed, it may come from there: `copy` when its pieces are welcome, from `flushLsn` on. @throws SafekeeperError `timeline-broken`, `disk-full` */
  async follow(source: CommittedWal): Promise<CopyVerdict> {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#closing) throw new SafekeeperError('timeline-broken', 'the timeline is being closed');
    const verdict = this.#following.next();
    this.#dispatch({ type: 'follow', source });
    return verdict;
  }

  /**
   * Appends a piece of the WAL that is followed; resolves when the next one may come.
   * @param wal the bytes from `beginLsn` on, the caller's again afterwards
   * @returns false when something came between: a leader, a vote, the end of this timeline. Nothing more of `source` is taken then
   * @throws CorruptionError when it is no valid WAL
   */
  async copy(source: CommittedWal, beginLsn: Lsn, wal: Uint8Array): Promise<boolean> {
    while (this.#isBusy()) await this.#effectEnded();
    const piece = { beginLsn, endLsn: (beginLsn + wal.length) as Lsn, recordLsn: this.#state.recordLsn };
    if (this.#broken !== undefined || this.#closing || !isNextPiece(this.#state, source, piece)) return false;
    // Decoded before it is written, as what a proposer sends.
    this.#dispatch({ type: 'copied', source, piece: { ...piece, recordLsn: this.#disk.decode(wal) } }, wal);
    if (this.#state.writeLsn - this.#state.syncedLsn >= COPIED_UNSYNCED_MAX) await this.untilDurable();
    return true;
  }

  /** Resolves when all that was written so far is durable, or nothing more will be. */
  async untilDurable(): Promise<void> {
    const { writeLsn } = this.#state;
    while (this.#broken === undefined && this.#state.syncedLsn < writeLsn && this.#state.writeLsn >= writeLsn)
      await (this.#isBusy()
        ? this.#effectEnded()
        : (this.#flushing ?? new Promise<void>((resolve) => this.#clock.defer(resolve))));
  }

  /** Resolves when the effect that is waited for came to its end, whatever that is. What follows from it is done by then. */
  async #effectEnded(): Promise<void> {
    await Promise.allSettled([this.#effect]);
  }

  /** A consumer has everything below `remoteConsistentLsn` in durable layers, the archive everything below `backupLsn`. */
  progress(reached: { readonly remoteConsistentLsn?: Lsn; readonly backupLsn?: Lsn }): void {
    const { control } = this.#state;
    const { remoteConsistentLsn = control.remoteConsistentLsn, backupLsn = control.backupLsn } = reached;
    if (remoteConsistentLsn <= control.remoteConsistentLsn && backupLsn <= control.backupLsn) return;
    const input: AcceptorInput = {
      type: 'progress',
      remoteConsistentLsn: Math.min(remoteConsistentLsn, this.commitLsn) as Lsn,
      backupLsn: Math.min(backupLsn, this.commitLsn) as Lsn,
    };
    // What others have may be let go: that makes room.
    if (this.waitsForRoom) this.#state = stepAcceptor(this.#state, input).state;
    // While the timeline is busy the next status update, or the next look at the archive, will say it again.
    else if (!this.#busy) this.#dispatch(input);
  }

  /**
   * Lets go of whole segments that are archived, in a pageserver's durable layers, and committed: all three as the control file on the disk says. The newest of them stays. The control file says so before a file is removed.
   * @returns how much was removed. Unit: bytes
   */
  async trim(): Promise<number> {
    const localStartLsn = this.#disk.neededLsn();
    if (localStartLsn <= this.#state.control.localStartLsn || this.#busy || this.#broken !== undefined || this.#closing)
      return 0;
    this.#dispatch({ type: 'trim', localStartLsn });
    while (this.#isBusy()) await this.#effectEnded();
    if (this.#disk.savedControl.localStartLsn < localStartLsn) return 0; // it broke meanwhile
    return this.#disk.removeBelow(localStartLsn);
  }

  /**
   * Goes on after the disk was full or read-only, once it takes a segment: as after a restart the WAL is read again from the commit LSN on, what may live in the page cache alone is written again, and what follows the last whole record is cut
   * off. Whole segments that the archive and a pageserver have are let go first. Harmless while there is no room, and when nothing waits for it.
   */
  async resume(): Promise<void> {
    if (!this.waitsForRoom || this.#closing) return;
    this.#resuming ??= this.#goOn().finally(() => {
      this.#resuming = undefined;
    });
    await this.#resuming;
  }

  async #goOn(): Promise<void> {
    try {
      // What was under way when the disk was full is waited for: nothing may change the files but this.
      await Promise.allSettled([this.#effect, this.#flushing, this.#saving]);
      const { control, flushLsn } = await this.#disk.reopen(this.#state);
      this.#state = startAcceptor(this.#state.node, control, flushLsn);
      this.#epoch++;
      this.#broken = undefined;
      this.#log.info({ flushLsn: formatLsn(flushLsn), term: this.term }, 'the disk takes writes again');
      this.#notify();
    } catch (error) {
      if (writesAreRefused(error)) return;
      this.#broken = undefined;
      this.#break(error as Error);
    }
  }

  /** Writes the control file when its LSNs lag; for a timer. */
  saveProgress(): void {
    if (this.#disk.savedControl !== this.#state.control) this.#saveControl();
  }

  /** Makes everything durable and closes the files. Peers are cut off. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const peer of this.#peers.values()) peer.reject('the safekeeper is shutting down');
    this.#peers.clear();
    await this.#resuming;
    while (this.#busy || this.#flushScheduled || this.#flushing !== undefined)
      await (this.#flushing ?? new Promise<void>((resolve) => this.#clock.defer(resolve)));
    await this.#saving?.catch(() => undefined);
    if (this.#broken === undefined && this.#disk.savedControl !== this.#state.control)
      await this.#disk.save(this.#state.control);
    await this.#disk.close(this.#broken === undefined && this.#state.syncedLsn === this.#disk.writeLsn);
  }

  #dispatch(input: AcceptorInput, wal?: Uint8Array): void {
    if (this.#broken !== undefined) return;
    if (this.#busy) {
      this.#waiting.push(input);
      return;
    }
    try {
      const { state, effects } = stepAcceptor(this.#state, input);
      this.#carryOut(input, state, effects, 0, wal);
    } catch (error) {
      this.#break(error as Error);
    }
  }

  /** Carries out `effects` from `index` on; then `next` is the state. */
  #carryOut(
    input: AcceptorInput,
    next: AcceptorState,
    effects: readonly AcceptorEffect[],
    index: number,
    wal?: Uint8Array,
  ): void {
    for (let i = index; i < effects.length; i++) {
      const pending = this.#apply(effects[i] as AcceptorEffect, wal);
      if (pending === undefined) continue;
      this.#suspend();
      this.#effect = pending;
      pending.then(
        () => {
          if (this.#broken !== undefined) return; // by a sync meanwhile
          try {
            this.#carryOut(input, next, effects, i + 1);
          } catch (error) {
            this.#break(error as Error);
          }
        },
        (error: unknown) => this.#break(error as Error),
      );
      return;
    }
    this.#settle(input, next);
  }

  #settle(input: AcceptorInput, next: AcceptorState): void {
    const before = this.#state;
    this.#state = next;
    if (input.type === 'append') this.#metrics.receivedBytes.inc(next.writeLsn - before.writeLsn);
    if (input.type === 'copied') this.#metrics.copiedBytes.inc(next.writeLsn - before.writeLsn);
    assert(this.#disk.writeLsn === next.writeLsn, 'the WAL on disk ends where the state says');
    if (
      input.type === 'message' &&
      input.message.type === 'elected' &&
      next.control.history === input.message.history
    ) {
      // Taken, not refused: one that comes twice is refused, and the leader it names stays.
      // Whatever the decoder saw before, the leader's WAL goes on from a record boundary.
      assert(next.recordLsn === next.writeLsn, 'streaming begins at a record boundary');
      this.#disk.restartDecoding();
      this.#log.info({ term: next.control.term, lsn: formatLsn(next.writeLsn) }, 'a proposer leads');
    }
    if (
      before.control.commitLsn !== next.control.commitLsn ||
      before.flushLsn !== next.flushLsn ||
      before.control.term !== next.control.term
    )
      this.#notify();
    if (next.control.commitLsn - this.#disk.savedControl.commitLsn >= COMMIT_LAG_MAX) this.#saveControl();
    this.#resume();
  }

  #apply(effect: AcceptorEffect, wal: Uint8Array | undefined): Promise<void> | undefined {
    switch (effect.type) {
      case 'persistControl':
        return this.#disk.save(effect.control);
      case 'truncateWal':
        return this.#truncate(effect.lsn);
      case 'writeWal':
        assert(wal !== undefined && effect.beginLsn === this.#disk.writeLsn, 'WAL is appended at its end');
        this.#disk.append(wal);
        return undefined;
      case 'syncWal':
        return this.#syncNow();
      case 'requestFlush':
        this.#scheduleFlush();
        return undefined;
      case 'send':
        this.#peers.get(effect.to)?.send(effect.message);
        return undefined;
      case 'configured':
        this.#configuring.give(effect.report);
        return undefined;
      case 'followed':
        // As at an Elected: from here on the WAL goes on from a record boundary.
        if (effect.verdict === 'copy') this.#disk.restartDecoding();
        this.#following.give(effect.verdict);
        return undefined;
      case 'commitAdvanced':
        return undefined; // consumers are told in #settle, when the state says so too
      case 'reject':
        // Other refusals are logged where the connection ends.
        if (effect.code === 'committed-wal')
          this.#log.error({ reason: effect.reason }, 'a proposer would drop committed WAL');
        this.#peers.get(effect.to)?.reject(effect.reason);
        return undefined;
      default:
        return unreachable(effect);
    }
  }

  /** Begins a sync after this turn of the event loop, so that everything that has arrived shares it. */
  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#flushing !== undefined) return;
    this.#flushScheduled = true;
    this.#clock.defer(() => {
      this.#flushScheduled = false;
      // While an effect is carried out, which may cut the WAL, no sync begins; #resume asks again.
      if (!this.#busy && this.#flushing === undefined && this.#broken === undefined) this.#flushing = this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const epoch = this.#epoch;
    const syncedLsn = this.#disk.writeLsn;
    // Not the decoder's position: that may be beyond what is written, in WAL that was found to be damaged.
    const flushLsn = this.#state.recordLsn;
    try {
      await this.#disk.sync();
    } catch (error) {
      this.#break(error as Error);
      return;
    } finally {
      this.#flushing = undefined;
    }
    if (epoch !== this.#epoch) return;
    this.#dispatch({ type: 'flushed', syncedLsn, flushLsn });
    if (this.#disk.writeLsn > syncedLsn) this.#scheduleFlush();
  }

  async #truncate(lsn: Lsn): Promise<void> {
    this.#epoch++;
    await this.#flushing;
    this.#waiting = this.#waiting.filter(({ type }) => type !== 'flushed');
    await this.#disk.truncate(lsn);
  }

  async #syncNow(): Promise<void> {
    await this.#flushing;
    await this.#disk.sync();
  }

  /** Saves a state that is settled: effects that persist come later in the control file's own order, and say at least as much. */
  #saveControl(): void {
    if (this.#busy || this.#saving !== undefined || this.#broken !== undefined || this.#closing) return;
    const { control } = this.#state;
    this.#saving = this.#disk.save(control).then(
      () => {
        this.#saving = undefined;
      },
      (error: unknown) => {
        this.#saving = undefined;
        this.#break(error as Error);
      },
    );
  }

  #suspend(): void {
    if (this.#busy) return;
    this.#busy = true;
    for (const peer of this.#peers.values()) peer.pause();
  }

  #resume(): void {
    if (!this.#busy) return;
    this.#busy = false;
    for (let input = this.#waiting.shift(); input !== undefined; input = this.#waiting.shift()) {
      this.#dispatch(input);
      if (this.#isBusy()) return; // the rest waits for that one's end
    }
    if (this.#disk.writeLsn > this.#state.syncedLsn) this.#scheduleFlush();
    for (const peer of this.#peers.values()) {
      if (this.#isBusy()) return; // a message of an earlier one suspended again, and paused all
      peer.resume();
    }
  }

  /** Read through a method, since it changes within the calls that {@link #resume} makes. */
  #isBusy(): boolean {
    return this.#busy;
  }

  #notify(): void {
    for (const listener of this.#advanceListeners) listener();
  }

  /** Ends the acceptor: logged once, everybody cut off. A broken invariant ends the process. */
  #break(error: Error): void {
    if (error instanceof AssertionError) {
      // Thrown outside of every handler that might catch it: the process must die.
      this.#clock.defer(() => {
        throw error;
      });
    }
    if (this.#broken !== undefined) return;
    const refused = writesAreRefused(error);
    this.#broken = new SafekeeperError(
      refused ? 'disk-full' : 'timeline-broken',
      `timeline ${this.identity.timeline} takes no more WAL on this safekeeper until ${refused ? 'its disk takes writes again' : 'it is restarted'}: ${error.message}`,
      { cause: error },
    );
    this.#busy = false;
    this.#waiting = [];
    if (refused) {
      this.#metrics.diskFull.inc();
      this.#log.error({ err: error }, 'the disk takes no writes: the timeline waits until it does');
    } else this.#log.error({ err: error }, 'timeline broken');
    for (const peer of this.#peers.values()) peer.reject(this.#broken.message);
    this.#peers.clear();
    this.#configuring.refuseAll(this.#broken);
    this.#following.refuseAll(this.#broken);
    this.#notify();
  }
}
