import { CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import type { AcceptorControl, AcceptorState } from '@zenith/consensus';
import type { Logger } from 'pino';
import type { CleanMarker } from '../control-file/clean-marker.ts';
import { ControlFile } from '../control-file/control-file.ts';
import { RecordEnd } from '../wal-storage/record-end.ts';
import { recoverWal } from '../wal-storage/recovery.ts';
import type { Segments } from '../wal-storage/segments.ts';
import { WalWriter } from '../wal-storage/wal-writer.ts';
import type { TimelineMetrics } from './metrics.ts';

/** Whole segments that could be let go and stay all the same: who lags a little is served from this disk. */
const SEGMENTS_KEPT = 1;

/** The files of one timeline, as they were opened. */
export interface TimelineDiskParts {
  readonly control: AcceptorControl;
  /** Record-aligned end of the WAL on disk; nothing follows it. */
  readonly flushLsn: Lsn;
  readonly segments: Segments;
  readonly controlFile: ControlFile;
  readonly cleanMarker: CleanMarker;
  readonly log: Logger;
  readonly metrics: TimelineMetrics;
}

/** Where a timeline's WAL ends, and what its control file says. */
export interface TimelineOnDisk {
  readonly control: AcceptorControl;
  readonly flushLsn: Lsn;
}

/**
 * What one timeline has on its disk: WAL and control file. WAL is decoded before it is written, so that what is not valid never reaches the disk. Of {@link sync}, {@link truncate}, {@link reopen} and {@link close} one runs at a time; after a
 * failed call nothing but {@link reopen} and {@link close} may follow, since nobody knows what is on the disk until it is read again.
 */
export class TimelineDisk {
  readonly #segments: Segments;
  readonly #cleanMarker: CleanMarker;
  readonly #log: Logger;
  readonly #metrics: TimelineMetrics;
  #controlFile: ControlFile;
  #savedControl: AcceptorControl;
  #writer: WalWriter;
  #recordEnd: RecordEnd;

  constructor(parts: TimelineDiskParts) {
    this.#segments = parts.segments;
    this.#cleanMarker = parts.cleanMarker;
    this.#log = parts.log;
    this.#metrics = parts.metrics;
    this.#controlFile = parts.controlFile;
    this.#savedControl = parts.control;
    this.#writer = new WalWriter(parts.segments, parts.flushLsn);
    this.#recordEnd = new RecordEnd(parts.control.identity, parts.flushLsn);
  }

  /** Where the next byte of WAL goes. */
  get writeLsn(): Lsn {
    return this.#writer.writeLsn;
  }

  /** What the control file says, durably. */
  get savedControl(): AcceptorControl {
    return this.#savedControl;
  }

  /** Reads the next bytes of the WAL, only borrowed, before they are written. @returns where its last whole record ends. @throws CorruptionError when they are no valid WAL */
  decode(wal: Uint8Array): Lsn {
    return this.#recordEnd.push(wal);
  }

  /** Whatever {@link decode} saw before, the WAL goes on from where it ends on the disk, a record boundary. */
  restartDecoding(): void {
    this.#recordEnd.restart(this.#writer.writeLsn);
  }

  /** Appends WAL, only borrowed. @throws the system's error when the disk is full or fails */
  append(wal: Uint8Array): void {
    this.#writer.append(wal);
  }

  /** Resolves when everything appended before the call is durable. */
  async sync(): Promise<void> {
    const began = performance.now();
    await this.#writer.sync();
    this.#metrics.syncSeconds.observe((performance.now() - began) / 1000);
  }

  /** Cuts the WAL at `lsn` and zeroes what followed, durably. */
  async truncate(lsn: Lsn): Promise<void> {
    this.#log.info({ lsn: formatLsn(lsn), from: formatLsn(this.#writer.writeLsn) }, 'WAL cut back');
    await this.#writer.truncate(lsn);
  }

  /** Replaces the control file; calls are carried out in their order. */
  async save(control: AcceptorControl): Promise<void> {
    await this.#controlFile.save(control);
    this.#savedControl = control;
  }

  /** Where the WAL may begin here, in whole segments: what is before is archived, in a pageserver's durable layers, and committed, all three as `control` says, which is to be durable; the newest of those segments stays. */
  neededLsn({ remoteConsistentLsn, backupLsn, commitLsn }: AcceptorControl = this.#savedControl): Lsn {
    const needed = this.#segments.numberOf(Math.min(remoteConsistentLsn, backupLsn, commitLsn) as Lsn);
    return ((needed - SEGMENTS_KEPT) * this.#segments.size) as Lsn;
  }

  /** Removes the segments below `localStartLsn`, of which the control file says that the WAL begins there; durably. @returns how much that was. Unit: bytes */
  async removeBelow(localStartLsn: Lsn): Promise<number> {
    const { disk, directory, size } = this.#segments;
    const gone = this.#segments.existing().filter((number) => number * size < localStartLsn);
    for (const number of gone) disk.remove(this.#segments.path(number));
    await disk.syncDirectory(directory);
    this.#log.info({ localStartLsn: formatLsn(localStartLsn), segments: gone.length }, 'WAL let go');
    return gone.length * size;
  }

  /**
   * Reads all of it again after the disk refused a write: from the commit LSN on the WAL is decoded, what may live in the page cache alone is written again, and what follows the last whole record is cut off. Segments that are
   * not {@link neededLsn needed} are let go first, for their room. When it throws it can be called again.
   * @param state what was acknowledged, and LSNs that may be later than those on the disk
   * @throws CorruptionError when WAL is gone that was acknowledged and that no newer leader has cut off; the system's error when there is no room for a segment more
   */
  async reopen(state: AcceptorState): Promise<TimelineOnDisk> {
    await this.#writer.close();
    const { disk, directory } = this.#segments;
    const controlFile = new ControlFile(disk, directory);
    const stored = controlFile.load();
    if (stored === undefined) throw new CorruptionError('the control file is gone', { source: controlFile.path });
    // Term and history are those on the disk: they may be a step ahead of the state, as at a crash. The LSNs there lag.
    let control = withLaterLsns(stored, state.control);
    const flushLsn = await recoverWal(this.#segments, control, false);
    this.#requireAcknowledged(stored, flushLsn, state);
    control = { ...control, pendingTruncationLsn: null };
    await controlFile.save(control);
    const localStartLsn = this.neededLsn(control);
    if (localStartLsn > control.localStartLsn) {
      control = { ...control, localStartLsn };
      await controlFile.save(control);
      await this.removeBelow(localStartLsn);
    }
    const writer = new WalWriter(this.#segments, flushLsn);
    try {
      await writer.reserve();
    } catch (error) {
      await writer.close();
      throw error;
    }
    this.#controlFile = controlFile;
    this.#savedControl = control;
    this.#writer = writer;
    this.#recordEnd = new RecordEnd(control.identity, flushLsn);
    return { control: withLaterLsns(control, state.control), flushLsn };
  }

  #requireAcknowledged(stored: AcceptorControl, flushLsn: Lsn, state: AcceptorState): void {
    const isCut =
      stored.pendingTruncationLsn !== null || stored.history.at(-1)?.term !== state.control.history.at(-1)?.term;
    if (!isCut && flushLsn < state.flushLsn)
      throw new CorruptionError(
        `WAL up to ${formatLsn(state.flushLsn)} was durable, but ends at ${formatLsn(flushLsn)}`,
        { source: this.#segments.directory },
      );
  }

  /** Closes the files. @param clean all that was appended is durable, and the control file says what it is to say: the next start need not write it again */
  async close(clean: boolean): Promise<void> {
    await this.#writer.close();
    if (clean) await this.#cleanMarker.put();
  }
}

/** A control file with those LSNs of `other` that are later: all of them are lower bounds. */
function withLaterLsns(control: AcceptorControl, other: AcceptorControl): AcceptorControl {
  const later = (key: 'commitLsn' | 'peerHorizonLsn' | 'backupLsn' | 'remoteConsistentLsn'): Lsn =>
    control[key] > other[key] ? control[key] : other[key];
  return {
    ...control,
    commitLsn: later('commitLsn'),
    peerHorizonLsn: later('peerHorizonLsn'),
    backupLsn: later('backupLsn'),
    remoteConsistentLsn: later('remoteConsistentLsn'),
  };
}
