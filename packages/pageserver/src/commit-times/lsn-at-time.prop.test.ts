import { formatLsn, lsn, newTenantId, newTimelineId, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { StorageError } from '../timeline/errors.ts';
import { unsyncedFileSystem } from '../timeline/storage-model.test-support.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { CommitTime } from './commit-time.ts';

const START = lsn(0x100_0000);
const BEGIN = 1_700_000_000_000_000;

/** One line of history as the test remembers it: the commits in the order of the WAL, those of ancestors first. */
interface Remembered {
  readonly timeline: TimelineId;
  readonly commits: { readonly timeline: TimelineId; readonly lsn: Lsn; readonly time: number }[];
}

/** A position as text that sorts as positions of one line do: ancestors were written first. */
function shown(timeline: TimelineId, at: Lsn): string {
  return `${formatLsn(at).padStart(17)}@${timeline}`;
}

/** What must come out: the end of the longest prefix of commits that are all at or before `time`. */
function expected({ commits }: Remembered, time: number): string {
  const latest = commits.reduce((max, commit) => Math.max(max, commit.time), Number.NEGATIVE_INFINITY);
  if (commits.length > 0 && time > latest) return 'time-after-last-commit';
  const end = commits.findIndex((commit) => commit.time > time);
  const found = commits[(end < 0 ? commits.length : end) - 1];
  return found === undefined ? 'time-before-history' : shown(found.timeline, found.lsn);
}

function outcome(find: () => { readonly timeline: TimelineId; readonly lsn: Lsn }): string {
  try {
    const { timeline, lsn: at } = find();
    return shown(timeline, at);
  } catch (error) {
    return (error as StorageError).code;
  }
}

/** A generator of numbers in [0, 1) from a seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

class Scene {
  readonly #next: () => number;
  readonly #directory = temporaryDirectory();
  readonly #tenant: TenantId = newTenantId();
  readonly lines: Remembered[] = [];
  #store: TimelineStore;
  #clock = BEGIN;

  constructor(seed: number) {
    this.#next = random(seed);
    this.#store = this.#open();
  }

  #open(): TimelineStore {
    return TimelineStore.open(this.#directory.path, {
      fileSystem: unsyncedFileSystem,
      options: { compactInBackground: false },
    });
  }

  async begin(): Promise<void> {
    const timeline = newTimelineId();
    await this.#store.create({ tenant: this.#tenant, timeline, pgMajor: 18, initialLsn: START });
    this.lines.push({ timeline, commits: [] });
  }

  /** Commits on one line, most times in the order of the clock; the clock is set back now and then. */
  commit(line: Remembered, count: number): void {
    const timeline = this.#store.get(this.#tenant, line.timeline);
    const object = timeline.intern(ObjectKind.replicationOrigin, 1, 0, 0, 0);
    for (let i = 0; i < count; i++) {
      this.#clock += Math.floor(this.#next() * 2000);
      if (this.#next() < 0.01) this.#clock -= Math.floor(this.#next() * 1_000_000);
      const at = lsn(timeline.lastRecordLsn + 8 * (1 + Math.floor(this.#next() * 100)));
      const time = this.#clock - Math.floor(this.#next() * 3000);
      timeline.put(object, 0, at, ValueKind.image, new Uint8Array(16), 0, 16);
      timeline.noteCommit(at, time as CommitTime);
      timeline.advance(at);
      line.commits.push({ timeline: line.timeline, lsn: at, time });
    }
  }

  async branch(from: Remembered): Promise<void> {
    const parent = this.#store.get(this.#tenant, from.timeline);
    const own = parent.initialLsn;
    const at = lsn(own + Math.floor((this.#next() * (parent.lastRecordLsn - own)) / 8) * 8);
    const timeline = newTimelineId();
    await this.#store.createBranch(this.#tenant, timeline, from.timeline, at);
    this.lines.push({ timeline, commits: from.commits.filter((commit) => commit.lsn <= at) });
  }

  async flush(line: Remembered): Promise<void> {
    await this.#store.get(this.#tenant, line.timeline).flush();
  }

  async compact(line: Remembered): Promise<void> {
    await this.#store.get(this.#tenant, line.timeline).compact();
  }

  async restart(): Promise<void> {
    await this.#store.close();
    this.#store = this.#open();
  }

  /** Asks for times at, beside and between commits; gives what came out wrong. */
  wrong(): string[] {
    const wrong: string[] = [];
    for (const line of this.lines) {
      const timeline = this.#store.get(this.#tenant, line.timeline);
      const asked = [BEGIN - 10_000_000, this.#clock + 10_000_000];
      for (let i = 0; i < 60 && line.commits.length > 0; i++) {
        const { time } = line.commits[Math.floor(this.#next() * line.commits.length)] as { time: number };
        asked.push(time, time - 1, time + 1, time + Math.floor(this.#next() * 2000));
      }
      let before = '';
      for (const time of asked.sort((a, b) => a - b)) {
        const want = expected(line, time);
        const found = outcome(() => timeline.lsnAtTime(time as CommitTime));
        if (found !== want) wrong.push(`at ${time}: ${found} instead of ${want}`);
        if (found < before) wrong.push(`at ${time}: ${found} after ${before}`);
        before = found.includes('@') ? found : before;
      }
    }
    return wrong;
  }

  async end(): Promise<void> {
    await this.#store.close();
    this.#directory.remove();
  }
}

test('the LSN of a time is that of the last commit before it, on parents and branches, in memory and in layers, after restarts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(
        fc.record({
          what: fc.constantFrom(
            'commit',
            'commit',
            'commit',
            'branch',
            'flush',
            'flush',
            'compact',
            'restart',
            'check',
          ),
          line: fc.nat(5),
          count: fc.oneof(fc.nat(5), fc.nat(300)),
        }),
        { minLength: 4, maxLength: 24 },
      ),
      async (seed, steps) => {
        const scene = new Scene(seed);
        try {
          await scene.begin();
          for (const { what, line: number, count } of steps) {
            const line = scene.lines[number % scene.lines.length] as Remembered;
            if (what === 'commit') scene.commit(line, count);
            else if (what === 'branch') await scene.branch(line);
            else if (what === 'flush') await scene.flush(line);
            else if (what === 'compact') await scene.compact(line);
            else if (what === 'restart') await scene.restart();
            else expect(scene.wrong()).toEqual([]);
          }
          expect(scene.wrong()).toEqual([]);
        } finally {
          await scene.end();
        }
      },
    ),
    { numRuns: 30 },
  );
});
