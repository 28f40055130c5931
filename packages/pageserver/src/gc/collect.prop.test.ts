import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ValueKind } from '../key-space/value.ts';
import {
  at,
  chainRedo,
  modelOutcome,
  ModelWriter,
  pageOf,
  readOutcome,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from '../timeline/storage-model.test-support.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';

const RELATIONS = 3;
const BLOCKS = 6;
const MIB = 1024 * 1024;
const OPTIONS = {
  memoryBytes: 16 * MIB,
  pageCacheBytes: MIB,
  indexCacheBytes: MIB,
  layerBytesTarget: 4 * BLCKSZ,
  imageAfterValues: 6,
  imageTiersMin: 1,
  imageTiersMax: 2,
  compactInBackground: false,
};

/** One line of history: what it must say, and where it may be asked below its cutoff. */
interface Line {
  readonly n: number;
  writer: ModelWriter;
  readonly leases: Set<Lsn>;
}

type Step =
  | { readonly do: 'put'; readonly line: number; readonly count: number; readonly seed: number }
  | { readonly do: 'flush' | 'compact' | 'reopen'; readonly line: number }
  | { readonly do: 'branch' | 'lease' | 'collect'; readonly line: number; readonly back: number };

const line = fc.nat(5);
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('put' as const),
        line,
        count: fc.integer({ min: 1, max: 40 }),
        seed: fc.nat(1000),
      }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'compact' as const), line }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const), line }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('branch' as const, 'lease' as const, 'collect' as const, 'collect' as const),
        line,
        back: fc.nat(120),
      }),
    },
  ),
  { minLength: 8, maxLength: 30 },
);

class Scene {
  readonly #directory = mkdtempSync(join(tmpdir(), 'zenith-collect-'));
  readonly lines: Line[] = [];
  #store = this.#open();
  readonly #wrong: string[] = [];
  #position = 1;
  collected = 0;

  #open(): TimelineStore {
    return TimelineStore.open(this.#directory, { options: OPTIONS, redo: chainRedo, fileSystem: unsyncedFileSystem });
  }

  async begin(): Promise<void> {
    const timeline = await this.#store.create({
      tenant: TENANT,
      timeline: timelineId(1),
      pgMajor: 18,
      initialLsn: at(0),
    });
    this.lines.push({ n: 1, writer: new ModelWriter(timeline, new StorageModel(at(0))), leases: new Set() });
  }

  async run(step: Step): Promise<void> {
    const target = this.lines[step.line % this.lines.length] as Line;
    const { timeline } = target.writer;
    switch (step.do) {
      case 'put':
        this.#put(target, step.count, step.seed);
        return;
      case 'flush':
        await timeline.flush();
        return;
      case 'compact':
        await timeline.compact();
        return;
      case 'reopen':
        await this.#store.close();
        this.#store = this.#open();
        for (const one of this.lines) one.writer = one.writer.movedTo(this.#store.get(TENANT, timelineId(one.n)));
        return;
      case 'branch':
        await this.#branch(target, this.#back(target, step.back));
        return;
      case 'lease':
        await this.#lease(target, this.#back(target, step.back));
        return;
      case 'collect':
        await this.#collect(target, step.back);
        return;
    }
  }

  #back({ writer }: Line, back: number): Lsn {
    return Math.max(writer.timeline.initialLsn, writer.timeline.lastRecordLsn - 8 * back) as Lsn;
  }

  #put({ writer }: Line, count: number, seed: number): void {
    for (let i = 0; i < count; i++) {
      const n = this.#position++;
      const [rel, block] = [(seed + i) % RELATIONS, (seed + i * 7) % BLOCKS];
      const size = writer.model.size(rel, at(n));
      if ((seed + n) % 37 === 0 && size !== undefined)
        writer.setSize(rel, (seed + n) % 2 === 0 ? -1 : Math.min(2, size), at(n));
      else {
        const kind = n % 13 === 0 ? ValueKind.image : n % 5 === 0 ? ValueKind.operation : ValueKind.record;
        // Now and then a record without redo: its page cannot be rebuilt until an image comes.
        const bytes =
          kind === ValueKind.image
            ? pageOf(n)
            : n % 101 === 0
              ? Uint8Array.of(0xee, 0xee)
              : new Uint8Array(3 + (n % 3) * 700).fill(n);
        writer.put(rel, block, at(n), kind, bytes);
      }
      writer.timeline.noteCommit(at(n), (n * 1000) as CommitTime);
      writer.advance(at(n));
    }
  }

  async #branch(from: Line, lsn: Lsn): Promise<void> {
    const n = this.lines.length + 1;
    const made = this.#store.createBranch(TENANT, timelineId(n), timelineId(from.n), lsn);
    if (lsn < from.writer.timeline.gcCutoff && !from.leases.has(lsn)) {
      await this.#refused(made, 'lsn-outside-history');
      return;
    }
    // Made at the cutoff while it moves: whichever is first, what the branch needs is there.
    await this.#collect(from, 0);
    const model = new StorageModel(lsn, { model: from.writer.model, lsn });
    this.lines.push({ n, writer: new ModelWriter(await made, model), leases: new Set() });
  }

  async #lease({ writer, leases, n }: Line, lsn: Lsn): Promise<void> {
    if (lsn < writer.timeline.gcCutoff && !leases.has(lsn)) {
      const refused = writer.timeline.lease({ holder: `${n}/${lsn}`, lsn, until: Number.MAX_SAFE_INTEGER }, 0);
      await this.#refused(refused, 'lsn-not-available');
      return;
    }
    if (lsn < writer.timeline.initialLsn) return;
    await writer.timeline.lease({ holder: `${n}/${lsn}`, lsn, until: Number.MAX_SAFE_INTEGER }, 0);
    leases.add(lsn);
  }

  async #collect({ n }: Line, back: number): Promise<void> {
    const result = await this.#store.collect(TENANT, timelineId(n), { timeMs: 0, bytes: back * 8 }, true, () => 1e12);
    this.collected += result.removedLayers;
  }

  async #refused(work: Promise<unknown>, code: string): Promise<void> {
    const outcome = await work.then(
      () => 'done',
      (error: unknown) => (error as { code?: string }).code,
    );
    if (outcome !== code) this.#wrong.push(`${outcome}, not ${code}`);
  }

  /** Reads that came out wrong, at every LSN that can be read and at some that cannot. */
  wrong(): string[] {
    const wrong = [...this.#wrong];
    for (const { n, writer, leases } of this.lines) {
      const { timeline, model } = writer;
      const first =
        timeline.ancestor === undefined ? timeline.initialLsn : Math.max(timeline.initialLsn, timeline.gcCutoff);
      const asked = new Set<number>([...leases, first, timeline.gcCutoff - 8, timeline.lastRecordLsn]);
      for (let lsn: number = first; lsn <= timeline.lastRecordLsn; lsn += 8 * 11) asked.add(lsn);
      for (const lsn of asked) {
        if (lsn < timeline.initialLsn) continue;
        const isKept = lsn >= timeline.gcCutoff || leases.has(lsn as Lsn);
        for (let rel = 0; rel < RELATIONS; rel++)
          for (let block = 0; block < BLOCKS; block++) {
            const is = readOutcome(timeline, rel, block, lsn as Lsn);
            const shall = isKept ? expectedOutcome(model, rel, block, lsn as Lsn) : 'error lsn-not-available';
            if (shall !== undefined && is !== shall)
              wrong.push(`line ${n}, relation ${rel} block ${block} at ${lsn}: ${is}, not ${shall}`);
          }
      }
    }
    return wrong;
  }

  async end(): Promise<void> {
    await this.#store.close();
    rmSync(this.#directory, { recursive: true });
  }
}

/** What the model says; undefined where it cannot tell, because it applies a record without redo although a base comes later. */
function expectedOutcome(model: StorageModel, rel: number, block: number, lsn: Lsn): string | undefined {
  try {
    return modelOutcome(model, rel, block, lsn);
  } catch {
    return undefined;
  }
}

test('after collections every LSN that is kept reads as before, on parents, branches and branches of those; below the cutoff everything is refused', async () => {
  let collected = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const scene = new Scene();
      try {
        await scene.begin();
        for (const step of all) {
          await scene.run(step);
          if (step.do === 'collect') expect(scene.wrong()).toEqual([]);
        }
        for (const { n } of scene.lines) await scene.run({ do: 'collect', line: n - 1, back: 10 });
        expect(scene.wrong()).toEqual([]);
        collected += scene.collected;
      } finally {
        await scene.end();
      }
    }),
    { numRuns: 30 },
  );
  expect(collected).toBeGreaterThan(0);
});

test('a page that cannot be rebuilt keeps its values: its error stays, and what is before and after it can be read', async () => {
  const scene = new Scene();
  await scene.begin();
  const { writer } = scene.lines[0] as Line;
  for (let n = 1; n <= 60; n++) {
    const kind = n === 1 || n === 50 ? ValueKind.image : ValueKind.record;
    const bytes =
      kind === ValueKind.image ? pageOf(n) : n === 20 ? Uint8Array.of(0xee, 0xee) : new Uint8Array(300).fill(n);
    writer.put(0, 0, at(n), kind, bytes);
    writer.timeline.noteCommit(at(n), n as CommitTime);
    writer.advance(at(n));
    if (n % 10 === 0) await writer.timeline.flush();
  }
  await writer.timeline.lease({ holder: 'a', lsn: at(15), until: Number.MAX_SAFE_INTEGER }, 0);
  await scene.run({ do: 'collect', line: 0, back: 25 });
  expect(scene.collected).toBeGreaterThan(0);
  const read = (n: number): string => readOutcome(writer.timeline, 0, 0, at(n));
  expect([read(15), read(40)]).toEqual([modelOutcome(writer.model, 0, 0, at(15)), 'error this record has no redo']);
  expect(read(55)).toMatch(/ of \d+ values/);
  expect(read(14)).toBe('error lsn-not-available');
  await scene.end();
});

test('a branch whose branch point lies below the cutoff is waited for and read as any other', async () => {
  const scene = new Scene();
  await scene.begin();
  await scene.run({ do: 'put', line: 0, count: 40, seed: 1 });
  await scene.run({ do: 'branch', line: 0, back: 10 });
  await scene.run({ do: 'put', line: 0, count: 40, seed: 2 });
  await scene.run({ do: 'flush', line: 0 });
  await scene.run({ do: 'collect', line: 0, back: 5 });
  const [parent, child] = scene.lines as [Line, Line];
  const at = child.writer.timeline.initialLsn;
  expect(at).toBeLessThan(parent.writer.timeline.gcCutoff);
  await child.writer.timeline.waitForLsn(at, { timeoutMs: 1000 });
  await expect(parent.writer.timeline.waitForLsn(at, { timeoutMs: 1000 })).rejects.toMatchObject({
    code: 'lsn-not-available',
  });
  expect(scene.wrong()).toEqual([]);
  // A cutoff never goes back, also where there was nothing to merge.
  await scene.run({ do: 'put', line: 1, count: 20, seed: 3 });
  await scene.run({ do: 'flush', line: 1 });
  await scene.run({ do: 'collect', line: 1, back: 5 });
  const { gcCutoff } = child.writer.timeline;
  expect(gcCutoff).toBeGreaterThan(at);
  await scene.run({ do: 'reopen', line: 1 });
  expect(child.writer.timeline.gcCutoff).toBe(gcCutoff);
  await scene.end();
});

test('a lease that ended is not kept, and cannot be had again below the cutoff', async () => {
  const scene = new Scene();
  await scene.begin();
  const { writer } = scene.lines[0] as Line;
  await scene.run({ do: 'put', line: 0, count: 40, seed: 1 });
  await writer.timeline.lease({ holder: 'short', lsn: at(10), until: 5 }, 0);
  await scene.run({ do: 'flush', line: 0 });
  await scene.run({ do: 'collect', line: 0, back: 5 });
  expect(readOutcome(writer.timeline, 0, 0, at(10))).toBe('error lsn-not-available');
  await expect(writer.timeline.lease({ holder: 'short', lsn: at(10), until: 9 }, 0)).rejects.toMatchObject({
    code: 'lsn-not-available',
  });
  await scene.end();
});
