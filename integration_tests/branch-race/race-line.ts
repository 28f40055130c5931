import type { Lsn, TimelineId } from '@zenith/base';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { CommitTime } from '../../packages/pageserver/src/commit-times/commit-time.ts';
import { ValueKind } from '../../packages/pageserver/src/key-space/value.ts';
import {
  at,
  modelOutcome,
  type ModelWriter,
  pageOf,
  type StorageModel,
  timelineId,
} from '../../packages/pageserver/src/timeline/storage-model.test-support.ts';
import type { Timeline } from '../../packages/pageserver/src/timeline/timeline.ts';

const RELATIONS = 3;
const BLOCKS = 8;

/** Pages that are recorded of a point. */
const SAMPLES = 6;

/** Leases of a line that are remembered, the newest. */
const LEASES_MAX = 6;

/** What the model says of a page at an LSN. */
interface Sample {
  readonly rel: number;
  readonly block: number;
  readonly outcome: string;
}

/** A read and what it must give. */
interface Check extends Sample {
  readonly lsn: Lsn;
  /** Its LSN need not be kept any more. */
  readonly mayBeRefused: boolean;
}

/** A lease and what must be read at its LSN. */
interface RaceLease {
  readonly holder: string;
  readonly lsn: Lsn;
  /** By the clock of the race. Unit: ms. */
  readonly until: number;
  readonly samples: readonly Sample[];
  /** The grant was acknowledged, the end not yet asked for. */
  isHeld: boolean;
}

/**
 * `making`: it was asked for. `there`: acknowledged, and its pages recorded. `leaving`: its removal was asked for. `gone`: it was removed, refused, or could not be made. */
export type LineState = 'making' | 'there' | 'leaving' | 'gone';

/** One line of history of the race: a timeline, its oracle, and what was recorded of it. */
export class RaceLine {
  readonly n: number;
  readonly parent: RaceLine | undefined;
  /** Where it leaves its parent. */
  readonly point: Lsn;
  readonly model: StorageModel;
  leases: readonly RaceLease[] = [];
  state: LineState = 'making';
  /** Undefined until it was made. */
  writer: ModelWriter | undefined;
  /** Branches that were asked for and are not gone. */
  children = 0;
  #next: number;
  #samples: readonly Sample[] | undefined;

  constructor(n: number, parent: RaceLine | undefined, point: Lsn, model: StorageModel) {
    this.n = n;
    this.parent = parent;
    this.point = point;
    this.model = model;
    this.#next = Math.floor((point - at(0)) / 8) + 1;
  }

  get id(): TimelineId {
    return timelineId(this.n);
  }

  /** The number of the next record, and the time at which it will commit. Unit: ms. */
  get next(): number {
    return this.#next;
  }

  get timeline(): Timeline {
    if (this.writer === undefined) throw new Error(`line ${this.n} was not made`);
    return this.writer.timeline;
  }

  /** What was recorded at the branch point; empty while the parent has not come there. */
  samples(random: Random): readonly Sample[] {
    if (this.#samples === undefined && this.parent !== undefined && this.parent.model.lastLsn >= this.point)
      this.#samples = this.record(this.point, random);
    return this.#samples ?? [];
  }

  /** Records some pages at an LSN. */
  record(lsn: Lsn, random: Random, count = SAMPLES): readonly Sample[] {
    return Array.from({ length: count }, () => {
      const [rel, block] = [random.below(RELATIONS), random.below(BLOCKS)];
      return { rel, block, outcome: modelOutcome(this.model, rel, block, lsn) };
    });
  }

  /** Ingests so many records, each of which commits. */
  put(count: number): void {
    const { writer } = this;
    if (writer === undefined) throw new Error(`line ${this.n} was not made`);
    for (let i = 0; i < count; i++) {
      const n = this.#next++;
      const [rel, block] = [(n * 5 + (n >> 4)) % RELATIONS, (n * 7 + (n >> 3)) % BLOCKS];
      const size = writer.model.size(rel, at(n));
      if (n % 97 === 0 && size !== undefined) writer.setSize(rel, n % 2 === 0 ? -1 : Math.min(2, size), at(n));
      else {
        const kind = n % 13 === 0 ? ValueKind.image : n % 5 === 0 ? ValueKind.operation : ValueKind.record;
        const bytes =
          kind === ValueKind.image ? pageOf(n + this.n) : new Uint8Array(20 + ((n * 37) % 300)).fill(n + this.n);
        writer.put(rel, block, at(n), kind, bytes);
      }
      writer.timeline.noteCommit(at(n), (n * 1000) as CommitTime);
      writer.advance(at(n));
    }
  }

  /** A lease was acknowledged. */
  leased(lease: RaceLease): void {
    this.leases = [...this.leases, lease].slice(-LEASES_MAX);
  }

  /** What reads must give: at the branch point, and where leases are or were. @param isHeld whether a lease keeps its LSN readable; where none does a read may be refused as well, and below the line's own cutoff */
  checks(timeline: Timeline, random: Random, isHeld: (lease: RaceLease) => boolean): Check[] {
    const ofPoint = this.checksAt(this.point, this.samples(random), this.point < timeline.gcCutoff);
    return [...ofPoint, ...this.leases.flatMap((lease) => this.checksAt(lease.lsn, lease.samples, !isHeld(lease)))];
  }

  /** What reads at an LSN must give. */
  checksAt(lsn: Lsn, samples: readonly Sample[], mayBeRefused = false): Check[] {
    return samples.map((sample) => ({ ...sample, lsn, mayBeRefused }));
  }

  /** What is wrong with what a read gave, undefined when nothing is. */
  wrong({ rel, block, lsn, outcome, mayBeRefused }: Check, is: string): string | undefined {
    if (is === outcome || (mayBeRefused && is === 'error lsn-not-available')) return undefined;
    const from = this.parent === undefined ? '' : ` (of ${this.parent.n} at ${this.point})`;
    return `line ${this.n}${from}, relation ${rel} block ${block} at ${lsn}: ${is}, not ${outcome}`;
  }
}
