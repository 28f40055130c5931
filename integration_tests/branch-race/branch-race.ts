import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lsn, parseLsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { LocalFolderStorage, type RemoteStorage } from '@zenith/remote-storage';
import { Registry } from 'prom-client';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { Collector } from '../../packages/pageserver/src/gc/collector.ts';
import { gcMetrics } from '../../packages/pageserver/src/gc/metrics.ts';
import type { HistoryPolicy } from '../../packages/pageserver/src/gc/plan.ts';
import { timelineDirectory } from '../../packages/pageserver/src/timeline/store-layout.ts';
import {
  at,
  ModelWriter,
  readOutcome,
  StorageModel,
  TENANT,
} from '../../packages/pageserver/src/timeline/storage-model.test-support.ts';
import type { Timeline } from '../../packages/pageserver/src/timeline/timeline.ts';
import { LayerWorkerPool } from '../../packages/pageserver/src/workers/layer-worker-pool.ts';
import { KilledImage, type Left } from './killed-image.ts';
import { RaceLine } from './race-line.ts';
import { copyNow, openNode, type RaceNode, slowDisk, slowStorage, turns } from './race-node.ts';

/** So much history is kept, in records, each of which commits and takes a millisecond of the race's clock. */
const KEPT = 60;
/** Ingest of the main timeline gets no further ahead of its cutoff, in records. */
const AHEAD_MAX = KEPT + 400;
/** Timelines above this number are removed. */
const LINES_MAX = 24;
/** Branches made at a time. */
const BRANCHERS = 4;
/** Removed at a time. */
const REMOVERS = 4;
/** Turns of the event loop between two looks at a line. */
const TURNS_BETWEEN_LOOKS = 4;
/** Restarts, the last of which ends the race. */
const PHASES = 3;
/** The operations that the race is about wait a number of turns below this before they begin, so that they meet every step of a collection. */
const TURNS = 24;

/** What killed processes leave, one after the other. */
const LEFT: readonly Left[] = ['the disk', 'both', 'remote storage'];

const MIB = 1024 * 1024;
const POLICY: HistoryPolicy = { timeMs: KEPT, bytes: KEPT * 8 };
const OPTIONS = {
  memoryBytes: 64 * MIB,
  pageCacheBytes: MIB,
  indexCacheBytes: MIB,
  layerBytesTarget: 6 * BLCKSZ,
  imageAfterValues: 8,
  imageTiersMin: 1,
  imageTiersMax: 2,
  compactionThreshold: 2,
  workerFlushBytes: 1,
  sliceMs: 1,
};
const WORKER = new URL('../../packages/pageserver/src/workers/faulty-layer-worker.test-support.ts', import.meta.url);

/** Where a branch or a lease was asked for. */
type Kind = 'below' | 'layer' | 'at' | 'above' | 'next' | 'end' | 'any' | 'leased' | 'branch point';
const KINDS: readonly Kind[] = [
  'below',
  'below',
  'layer',
  'layer',
  'layer',
  'at',
  'at',
  'above',
  'above',
  'next',
  'next',
  'next',
  'end',
  'any',
  'leased',
  'branch point',
];

/** What came of a race. */
export interface RaceReport {
  /** What was not as it has to be. */
  readonly problems: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

/** One store with everything that gets in the way of a collection, and what must be true all the time. Its decisions come from a seed; which of them meet does not: threads, files and timers take the time that they take. */
export class BranchRace {
  readonly #random: Random;
  readonly #root = mkdtempSync(join(tmpdir(), 'zenith-branch-race-'));
  readonly #dataDirectory = join(this.#root, 'data');
  readonly #pool = new LayerWorkerPool({ count: 1, entry: WORKER });
  readonly #problems: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #lines: RaceLine[] = [];
  /** Branches of which one sync of a directory is to fail. */
  readonly #failing = new Set<string>();
  readonly #main = new RaceLine(1, undefined, at(0), new StorageModel(at(0)));
  #inner: RemoteStorage | undefined;
  #node: RaceNode | undefined;
  #collector: Collector | undefined;
  #generation = 0;
  #images = 0;
  #holders = 0;
  #looks = 0;
  /** Who makes, removes and leases goes on; who ingests, collects and reads goes on. */
  #isOver = false;
  #isQuiet = false;
  #collected = deferred();

  private constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** Runs one until so many branches were asked for. */
  static async run(seed: number, branches: number): Promise<RaceReport> {
    const race = new BranchRace(seed);
    try {
      await race.#open();
      const wanted = { tenant: TENANT, timeline: race.#main.id, pgMajor: 18, initialLsn: at(0) } as const;
      race.#main.writer = new ModelWriter(await race.#store.create(wanted), race.#main.model);
      race.#main.state = 'there';
      race.#lines.push(race.#main);
      for (let phase = 1; phase <= PHASES; phase++) {
        await race.#phase((branches * phase) / PHASES);
        await race.#close();
        await race.#open();
        for (const line of race.#there()) line.writer = line.writer?.movedTo(race.#store.get(TENANT, line.id));
        for (const line of race.#there()) race.#check(line, 'after a restart');
      }
      await race.#end();
      return { problems: race.#problems, counts: Object.fromEntries(race.#counts) };
    } finally {
      await race.#close();
      await race.#pool.close();
      rmSync(race.#root, { recursive: true });
    }
  }

  get #store(): RaceNode['store'] {
    if (this.#node === undefined) throw new Error('the store is closed');
    return this.#node.store;
  }

  /** The time of day: a record is a millisecond. */
  readonly #clock = (): number => this.#main.next;

  async #open(): Promise<void> {
    this.#inner ??= await LocalFolderStorage.open(join(this.#root, 'objects'));
    const log = {
      info: () => undefined,
      warn: (fields: Readonly<Record<string, unknown>>, message: string) => {
        const code = (fields['err'] as { code?: string } | undefined)?.code;
        if (code !== 'no-such-timeline') this.#problem(`warning: ${message}: ${String(fields['err'])}`);
      },
    };
    this.#node = await openNode({
      dataDirectory: this.#dataDirectory,
      storage: slowStorage(this.#inner, this.#random, () => this.#node !== undefined),
      generation: ++this.#generation,
      fileSystem: slowDisk(this.#random, (path) => this.#failIfPlanned(path)),
      options: OPTIONS,
      log,
      workers: this.#pool,
    });
    const { store } = this.#node;
    const metrics = gcMetrics(new Registry());
    this.#collector = new Collector({ store, log, metrics, wallClock: this.#clock, intervalMs: 20 }, POLICY);
  }

  async #close(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    this.#collector?.stop();
    await node?.store.close();
    await node?.remote.close(10_000);
  }

  #failIfPlanned(path: string): void {
    for (const id of this.#failing)
      if (path.includes(id) && this.#failing.delete(id)) throw new Error('the disk did not answer');
  }

  async #phase(branches: number): Promise<void> {
    [this.#isOver, this.#isQuiet] = [false, false];
    const background = [this.#ingest(), this.#flush(), this.#collectMain(), this.#collectOthers(), this.#read()];
    const makers = Array.from({ length: BRANCHERS }, () => this.#makeBranches(branches));
    const removers = Array.from({ length: REMOVERS }, () => this.#removeBranches());
    const others = [...removers, this.#lease(), this.#kill()];
    try {
      await Promise.race([Promise.all(makers), ...[...background, ...others].map((one) => failing(one))]);
    } finally {
      this.#isOver = true;
      this.#collected.resolve();
      await Promise.all([...makers, ...others]);
      this.#isQuiet = true;
      this.#collected.resolve();
      await Promise.all(background);
    }
  }

  async #ingest(): Promise<void> {
    while (!this.#isQuiet) {
      const other = this.#pick();
      // The others stay as they were made, so that their points are read for as long as they are there.
      const line = this.#random.chance(0.6) || other.n % 3 !== 0 ? this.#main : other;
      line.put(10 + this.#random.below(40));
      await line.timeline.backpressure();
      await turns(1);
      const { gcCutoff } = this.#main.timeline;
      if (this.#main.model.lastLsn - Math.max(gcCutoff, at(0)) > AHEAD_MAX * 8 && !this.#isQuiet)
        await this.#collected.promise;
    }
  }

  async #flush(): Promise<void> {
    while (!this.#isQuiet) {
      const line = this.#random.chance(0.5) ? this.#main : this.#pick();
      await this.#unlessRemoved(line, line.timeline.flush());
      if (this.#random.chance(0.3)) await this.#unlessRemoved(line, line.timeline.compact(2));
      await turns(1);
    }
  }

  async #collectMain(): Promise<void> {
    while (!this.#isQuiet) {
      const before = this.#main.timeline.gcCutoff;
      await this.#collect(this.#main);
      await turns(1 + this.#random.below(TURNS));
      if (this.#main.timeline.gcCutoff > before) this.#count('moves of the cutoff');
      this.#collected.resolve();
      this.#collected = deferred();
    }
  }

  async #collectOthers(): Promise<void> {
    while (!this.#isQuiet) {
      await this.#collect(this.#pick());
      await turns(1);
    }
  }

  async #collect(line: RaceLine): Promise<void> {
    const collecting = this.#collector?.collect(TENANT, line.id, this.#random.chance(0.7));
    const result = await this.#unlessRemoved(line, collecting);
    this.#count('removed layers', result?.removedLayers ?? 0);
  }

  /** What `work` gives; undefined when the line was removed meanwhile. */
  async #unlessRemoved<T>(line: RaceLine, work: Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (line.state === 'there') throw error;
      return undefined;
    }
  }

  async #read(): Promise<void> {
    while (!this.#isQuiet) {
      this.#check(this.#pick(), 'in the race');
      await turns(TURNS_BETWEEN_LOOKS);
    }
  }

  /** Everything that was recorded of a line that is there, and a page of what it keeps. */
  #check(line: RaceLine, when: string): void {
    const { timeline } = line;
    const checks = line.checks(timeline, this.#random, ({ isHeld, until }) => isHeld && until > this.#clock());
    const first = Math.max(line.point, timeline.gcCutoff);
    const any = (first + this.#random.below(timeline.lastRecordLsn - first + 1)) as Lsn;
    const isIngested = line.parent === undefined || line.parent.model.lastLsn >= line.point;
    if (isIngested) checks.push(...line.checksAt(any, line.record(any, this.#random, 1)));
    this.#count('pages read', checks.length);
    for (const check of checks) {
      const wrong = line.wrong(check, readOutcome(timeline, check.rel, check.block, check.lsn));
      if (wrong !== undefined) this.#problem(`${when}: ${wrong}`);
    }
  }

  async #makeBranches(until: number): Promise<void> {
    while (!this.#isOver && this.#lines.length - 1 < until) {
      await this.#collected.promise;
      await turns(this.#random.below(TURNS));
      await this.#branch(this.#random.chance(0.6) ? this.#main : this.#pick());
    }
  }

  /** Asks for a branch, now and then in one turn with a collection of its parent. What must come of it is known in the turn in which it is asked for. */
  async #branch(parent: RaceLine): Promise<void> {
    const { timeline } = parent;
    const before = this.#random.chance(0.25) ? this.#collect(parent) : undefined;
    const [kind, lsn] = this.#pointIn(parent, timeline);
    const line = new RaceLine(this.#lines.length + 1, parent, lsn, new StorageModel(lsn, { model: parent.model, lsn }));
    this.#lines.push(line);
    const isServed = this.#store.find(TENANT, parent.id) !== undefined;
    const isKept = lsn >= parent.point && (lsn >= timeline.gcCutoff || timeline.isRetained(lsn));
    const expected = !isServed ? 'no-such-timeline' : !isKept ? 'lsn-outside-history' : undefined;
    const isFailing = expected === undefined && this.#random.chance(0.05);
    if (isFailing) this.#failing.add(line.id);
    const making = this.#store.createBranch(TENANT, line.id, parent.id, lsn);
    if (expected === undefined) parent.children++;
    const after = this.#random.chance(0.25) ? this.#collect(parent) : undefined;
    const outcome = await making.catch((error: unknown) => error as Error & { readonly code?: string });
    this.#failing.delete(line.id);
    await Promise.all([before, after]);
    if (outcome instanceof Error) {
      if (expected === undefined) parent.children--;
      line.state = 'gone';
      this.#count(`refused: ${isFailing ? 'the disk failed' : `${outcome.code} ${kind}`}`);
      if (isFailing ? outcome.message !== 'the disk did not answer' : outcome.code !== expected)
        this.#problem(
          `branch ${kind} of line ${parent.n} at ${lsn}: ${String(outcome)}, expected ${expected ?? 'none'}`,
        );
      if (existsSync(this.#folder(line)) || this.#store.find(TENANT, line.id) !== undefined)
        this.#problem(`a branch of line ${parent.n} that was refused has left something`);
      return;
    }
    if (expected !== undefined)
      this.#problem(`a branch ${kind} of line ${parent.n} at ${lsn} was made, and should not have been`);
    this.#count(`made: ${kind}${parent.parent === undefined ? '' : ', of a branch'}`);
    line.writer = new ModelWriter(outcome, line.model);
    await outcome.waitForLsn(lsn, { timeoutMs: 60_000 });
    line.state = 'there';
    this.#check(line, 'just made');
  }

  #folder(line: RaceLine): string {
    return timelineDirectory(this.#dataDirectory, TENANT, line.id);
  }

  /** An LSN near to where a collection may cut, or has cut. */
  #pointIn(line: RaceLine, timeline: Timeline): readonly [Kind, Lsn] {
    const kind = this.#random.pick(KINDS);
    const last = timeline.lastRecordLsn;
    const cutoff = Math.max(timeline.gcCutoff, timeline.initialLsn);
    const next = Math.max(cutoff, Math.min(last - POLICY.bytes, timeline.diskConsistentLsn));
    const step = this.#random.pick([1, 8]);
    // Where what is merged next ends: what lies between two points is gone then.
    const ends = [...new Set(timeline.layers.layers.map(({ lsnEnd }) => parseLsn(lsnEnd)))].filter(
      (end) => end > cutoff && end <= next + 1,
    );
    const leases = line.leases.filter(({ isHeld }) => isHeld);
    const lsn = {
      below: cutoff - step,
      layer: (ends.length === 0 ? cutoff : this.#random.pick(ends) - 1) - this.#random.pick([0, 8, 16, 80]),
      at: cutoff,
      above: cutoff + step,
      next: next + this.#random.pick([-16, -8, 0, 8, 16]),
      end: last + (line === this.#main ? this.#random.pick([0, 0, 8, 200]) : 0),
      any: cutoff + this.#random.below(last - cutoff + 1),
      leased: leases.length === 0 ? cutoff : this.#random.pick(leases).lsn,
      'branch point': line.point - this.#random.pick([0, 0, 8]),
    }[kind];
    return [kind, (line === this.#main ? lsn : Math.min(lsn, last)) as Lsn];
  }

  async #removeBranches(): Promise<void> {
    while (!this.#isOver) {
      await this.#collected.promise;
      await turns(this.#random.below(TURNS));
      const there = this.#there();
      // One that has branches is asked for, too, now and then: it is refused.
      const victims = there.slice(1).filter(({ children }) => children === 0 || this.#random.chance(0.1));
      if (there.length > LINES_MAX && victims.length > 0) await this.#remove(this.#random.pick(victims));
    }
  }

  /** Asks for the removal of a branch, now and then in one turn with a branch of it. */
  async #remove(victim: RaceLine): Promise<void> {
    this.#check(victim, 'before its removal');
    const before = this.#random.chance(0.2) ? this.#branch(victim) : undefined;
    const hasBranches = victim.children > 0;
    const parent = victim.parent as RaceLine;
    if (!hasBranches) victim.state = 'leaving';
    // While ingest is waited for, history goes.
    const endIngest = async (): Promise<void> => {
      if (this.#random.chance(0.4)) await this.#collect(parent);
      if (this.#random.chance(0.2)) this.#takeImage('in a removal');
    };
    const removing = this.#store.remove(TENANT, victim.id, endIngest);
    const after = this.#random.chance(0.2) ? this.#branch(victim) : undefined;
    let failure = await removing.then(
      () => undefined,
      (error: unknown) => error as Error & { readonly code?: string },
    );
    while (failure?.code === 'unavailable') {
      this.#count('removals that failed on the way');
      await this.#collect(parent);
      if (this.#random.chance(0.5)) this.#takeImage('of a removal that failed');
      failure = await this.#store.remove(TENANT, victim.id, endIngest).then(
        () => undefined,
        (error: unknown) => error as Error,
      );
    }
    await Promise.all([before, after]);
    this.#count(hasBranches ? 'removals refused' : 'removed');
    const expected = hasBranches ? 'timeline-has-branches' : undefined;
    if (failure?.code !== expected)
      this.#problem(`removal of line ${victim.n}: ${String(failure)}, expected ${expected}`);
    if (failure !== undefined) return;
    victim.state = 'gone';
    parent.children--;
    if (existsSync(this.#folder(victim))) this.#problem(`line ${victim.n} was removed and has left something`);
  }

  async #lease(): Promise<void> {
    while (!this.#isOver) {
      await this.#collected.promise;
      await turns(this.#random.below(TURNS));
      const line = this.#random.chance(0.4) ? this.#main : this.#pick();
      const held = line.leases.filter(({ isHeld }) => isHeld);
      if (held.length > 3 || (held.length > 0 && this.#random.chance(0.3))) {
        const ending = this.#random.pick(held);
        ending.isHeld = false;
        this.#count('leases ended');
        const releasing = this.#unlessRemoved(line, line.timeline.releaseLease(ending.holder));
        // What it kept may go before its end is durable.
        if (this.#random.chance(0.4)) {
          await this.#collect(line);
          this.#takeImage('at the end of a lease');
        }
        await releasing;
      } else await this.#takeLease(line, `race-${++this.#holders}`);
    }
  }

  async #takeLease(line: RaceLine, holder: string): Promise<void> {
    const { timeline } = line;
    let [kind, lsn] = this.#pointIn(line, timeline);
    // Below its own history, too, where its ancestors have it.
    if (line.parent !== undefined && this.#random.chance(0.6))
      lsn = this.#pointIn(line.parent, line.parent.timeline)[1];
    if (line.parent !== undefined && lsn < line.point) kind = 'branch point';
    const shall = readOutcome(timeline, 0, 0, lsn) !== 'error lsn-not-available';
    const now = this.#clock();
    const lease = { holder, lsn, until: now + 50 + this.#random.below(2000), isHeld: false };
    const samples = shall ? line.record(lsn, this.#random) : [];
    const granting = timeline.lease(lease, now);
    const failure = await this.#unlessRemoved(
      line,
      granting.then(
        () => 'granted',
        (error: unknown) => (error as { code?: string }).code,
      ),
    );
    if (line.state !== 'there') return;
    this.#count(`lease ${shall ? 'granted' : 'refused'}: ${kind}`);
    if (failure !== (shall ? 'granted' : 'lsn-not-available'))
      this.#problem(`lease of line ${line.n} at ${lsn}: ${failure}`);
    if (shall) line.leased({ ...lease, samples, isHeld: true });
  }

  async #kill(): Promise<void> {
    while (!this.#isOver) {
      for (let i = 0; i < 12 && !this.#isOver; i++) await this.#collected.promise;
      await turns(this.#random.below(TURNS));
      this.#takeImage('in the race');
      await this.#checkImages();
    }
  }

  readonly #taken: KilledImage[] = [];

  /** What a process that is killed now leaves, to be looked at. */
  #takeImage(when: string): void {
    if (this.#taken.length > 2) return;
    const folder = join(this.#root, `killed-${++this.#images}`);
    copyNow(this.#dataDirectory, join(folder, 'data'));
    copyNow(join(this.#root, 'objects'), join(folder, 'objects'));
    this.#taken.push(new KilledImage(folder, this.#lines, this.#clock(), `killed ${when}`));
  }

  async #checkImages(): Promise<void> {
    for (let image = this.#taken.shift(); image !== undefined; image = this.#taken.shift()) {
      const how = LEFT[this.#looks++ % LEFT.length] as Left;
      this.#count(`killed, left with ${how}`);
      const opened = { options: OPTIONS, policy: POLICY, generation: this.#generation + 1, random: this.#random };
      for (const problem of await image.problems(how, opened)) this.#problem(problem);
      image.remove();
    }
  }

  /** Nothing is under way any more, everything is uploaded: what is there is so without the disk, too. */
  async #end(): Promise<void> {
    this.#collector?.stop();
    await this.#checkImages();
    for (const line of this.#there().toReversed()) await this.#collect(line);
    for (const line of this.#there()) this.#check(line, 'at the end');
    await this.#node?.remote.settled();
    this.#takeImage('at the end');
    const opened = { options: OPTIONS, policy: POLICY, generation: this.#generation + 1, random: this.#random };
    for (const image of this.#taken.splice(0)) {
      for (const problem of await image.problems('all of remote storage', opened)) this.#problem(problem);
      image.remove();
    }
  }

  #there(): readonly RaceLine[] {
    return this.#lines.filter(({ state }) => state === 'there');
  }

  #pick(): RaceLine {
    return this.#random.pick(this.#there());
  }

  #count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  #problem(what: string): void {
    this.#problems.push(what);
  }
}

/** Rejects when `work` does, and never resolves. */
function failing(work: Promise<void>): Promise<never> {
  return new Promise((_resolve, reject) => void work.catch(reject));
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
