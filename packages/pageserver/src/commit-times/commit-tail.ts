import { assert, type Lsn } from '@zenith/base';
import { BATCH_COMMITS_MAX, type CommitBatch } from './commit-batch.ts';
import type { CommitTime } from './commit-time.ts';

/** A commit, and the latest time of it and of all before it. */
export interface CommitMark {
  /** End of its record. */
  readonly lsn: Lsn;
  /** The latest time of all commits up to this one: what never goes back. */
  readonly time: CommitTime;
}

/** The newest commits of a timeline, those that no stored batch has yet. Allocates nothing per commit. */
export class CommitTail implements CommitBatch {
  readonly lsns = new Float64Array(BATCH_COMMITS_MAX);
  readonly times = new Float64Array(BATCH_COMMITS_MAX);
  previousLsn: Lsn;
  timeBefore: CommitTime;
  count = 0;

  /** @param before the last commit before those that will come; undefined when there is none */
  constructor(before: CommitMark | undefined) {
    this.previousLsn = before?.lsn ?? (0 as Lsn);
    this.timeBefore = before?.time ?? (0 as CommitTime);
  }

  /** True when the batch is to be stored before another commit is added. */
  get isFull(): boolean {
    return this.count === BATCH_COMMITS_MAX;
  }

  /** End of the last commit's record; 0 when there is none. */
  get lastLsn(): Lsn {
    return this.count === 0 ? this.previousLsn : (this.lsns[this.count - 1] as Lsn);
  }

  /** Adds a commit. */
  add(lsn: Lsn, time: CommitTime): void {
    assert(this.count < BATCH_COMMITS_MAX, 'a full batch of commits takes no more');
    this.lsns[this.count] = lsn;
    this.times[this.count] = time;
    this.count++;
  }

  /** The commits were stored: begins the next batch. */
  restart(): void {
    if (this.count === 0) return;
    const first = this.previousLsn === 0;
    let latest: number = first ? Number.NEGATIVE_INFINITY : this.timeBefore;
    for (let i = 0; i < this.count; i++) latest = Math.max(latest, this.times[i] as number);
    this.timeBefore = latest as CommitTime;
    this.previousLsn = this.lsns[this.count - 1] as Lsn;
    this.count = 0;
  }
}
