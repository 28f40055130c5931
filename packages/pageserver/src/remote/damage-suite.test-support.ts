import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lsn } from '@zenith/base';
import { LocalFolderStorage } from '@zenith/remote-storage';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  at,
  modelOutcome,
  ModelWriter,
  StorageModel,
  TENANT,
  timelineId,
} from '../timeline/storage-model.test-support.ts';
import type { Timeline } from '../timeline/timeline.ts';
import {
  BLOCKS,
  close,
  fetchedOutcome,
  type Node,
  play,
  putSome,
  RELATIONS,
  RemoteLab,
} from './remote-lab.test-support.ts';

/** What happens to a file. `place` and `amount` are fractions of its length. */
interface Damage {
  readonly kind: 'flip' | 'zeroes' | 'cut' | 'grow' | 'remove';
  readonly place: number;
  readonly amount: number;
  /** 0: in the middle of somewhere; 1: within the first bytes; 2: within the last. */
  readonly near: 0 | 1 | 2;
}

/** Files are opened again and again: what happens to them is noticed. */
const FEW_FILES = { openFilesMax: 1, indexCacheBytes: 0, pageCacheBytes: 0 };

/** How far from an end of the file the damage is that is near to it. Unit: bytes. */
const NEAR_BYTES = 160;

const damages: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom('flip', 'flip', 'zeroes', 'cut', 'grow', 'remove'),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  amount: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  near: fc.constantFrom(0, 0, 1, 2),
});

/** Damages a file, and no other that has the same content: remote storage in a folder shares its files. Gives false when nothing has changed. */
function damage(path: string, { kind, place, amount, near }: Damage): boolean {
  const before = readFileSync(path);
  const { length } = before;
  const within = Math.min(length, NEAR_BYTES);
  const offset =
    near === 0 ? Math.floor(place * length) : Math.floor(place * within) + (near === 1 ? 0 : length - within);
  let after = new Uint8Array(before);
  if (kind === 'flip') after[offset] = (after[offset] as number) ^ (1 << Math.floor(amount * 8));
  else if (kind === 'zeroes') after.fill(0, offset, offset + 1 + Math.floor(amount * 9000));
  else if (kind === 'cut') after = after.subarray(0, offset);
  else if (kind === 'grow') after = new Uint8Array([...after, ...after.subarray(0, 1 + Math.floor(amount * 9000))]);
  rmSync(path);
  if (kind !== 'remove') writeFileSync(path, after);
  return kind === 'remove' || Buffer.compare(after, before) !== 0;
}

/** Files below a folder, relative, sorted. */
function filesIn(folder: string): readonly string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => statSync(join(folder, path)).isFile())
    .toSorted();
}

/**
 * The tests of what damage to files and objects does.
 * @param runs so many pieces of damage in each, drawn at random; a failure prints its seed
 */
export function damageSuite(runs: number): void {
  /** A data directory and its objects, nothing damaged: timeline 1, its branch 2, and 3, which has nothing to do with them. */
  let sound: RemoteLab;
  let writers: readonly ModelWriter[];

  beforeAll(async () => {
    sound = await RemoteLab.create();
    const node = await sound.open('data', 1);
    const [main, branch] = (await play(node)) as [ModelWriter, ModelWriter];
    const wanted = { tenant: TENANT, timeline: timelineId(3), pgMajor: 18, initialLsn: at(0) } as const;
    const other = new ModelWriter(await node.store.create(wanted), new StorageModel(at(0)));
    putSome(other, 1, 30);
    await other.timeline.flush();
    await node.remote.settled();
    writers = [main, branch, other];
    await close(node);
  });
  afterAll(() => sound.remove());

  /** Runs `work` on a copy. */
  async function onCopy(work: (lab: RemoteLab) => Promise<void>): Promise<void> {
    const root = mkdtempSync(join(tmpdir(), 'zenith-damage-'));
    try {
      cpSync(sound.root, root, { recursive: true });
      await work(new RemoteLab(root, await LocalFolderStorage.open(join(root, 'objects'))));
    } finally {
      rmSync(root, { recursive: true });
    }
  }

  /** Reads pages of every timeline that is served; what is wrong, and no error that names one of `named`, is a defect. @returns how many reads failed, by timeline */
  async function readAll(node: Node, named: readonly string[]): Promise<ReadonlyMap<number, number>> {
    const failures = new Map<number, number>();
    for (const [i, { model }] of writers.entries()) {
      const n = i + 1;
      let timeline: Timeline;
      try {
        timeline = node.store.get(TENANT, timelineId(n));
      } catch (error) {
        // Refused as a whole: by the reason, or because there is no index any more anywhere.
        expect((error as Error).message).toMatch(/index|ancestor|layer|no timeline/);
        failures.set(n, Number.POSITIVE_INFINITY);
        continue;
      }
      const end = Math.min(model.lastLsn, timeline.lastRecordLsn) as Lsn;
      for (const lsn of [end, (end - 8 * 11) as Lsn, Math.min(end, at(61)) as Lsn])
        for (let rel = 0; rel < RELATIONS; rel++)
          for (let block = 0; block < BLOCKS; block++) {
            const shall = modelOutcome(model, rel, block, lsn);
            const is = await fetchedOutcome(timeline, rel, block, lsn);
            if (is === shall) continue;
            failures.set(n, (failures.get(n) ?? 0) + 1);
            // That of an object that is gone is told by its code.
            if (!/^error (lsn-not-available|not-found)$/.test(is)) expect(named).toContainEqual(nameIn(is, named));
          }
    }
    return failures;
  }

  /** Which of the names an error has; the error itself when it has none. */
  function nameIn(outcome: string, named: readonly string[]): string {
    const isError = outcome.startsWith('error ');
    return named.find((name) => isError && outcome.includes(name)) ?? outcome;
  }

  function timelineOf(path: string): number {
    const match = /0{24,31}([0-9a-f]+)\//.exec(path);
    return match === null ? 0 : Number.parseInt(match[1] ?? '0', 16);
  }

  /** A timeline and those that read from it. */
  function affectedBy(n: number): readonly number[] {
    return n === 0 ? [1, 2, 3] : n === 1 ? [1, 2] : [n];
  }

  test('whatever happens to a file on the disk, while it is closed or in use, remote storage makes good: every page is read, and right', async () => {
    const local = filesIn(join(sound.root, 'data')).filter((path) => path.startsWith('tenants/'));
    expect(local.some((path) => path.endsWith('index.json'))).toBe(true);
    await fc.assert(
      fc.asyncProperty(fc.nat(), damages, fc.boolean(), async (pick, how, inUse) => {
        const file = local[pick % local.length] as string;
        await onCopy(async (lab) => {
          const path = join(lab.root, 'data', file);
          if (inUse) {
            const node = await lab.open('data', 2, undefined, FEW_FILES);
            expect(await readAll(node, [])).toEqual(new Map());
            damage(path, how);
            expect(await readAll(node, [])).toEqual(new Map());
            await close(node);
          } else damage(path, how);
          const node = await lab.open('data', 3);
          expect(await readAll(node, [])).toEqual(new Map());
          await close(node);
        });
      }),
      { numRuns: runs },
    );
  }, 240_000);

  test('whatever happens to an object while the disk is lost: what needs it fails and names it, all else is right, and timelines that have nothing to do with it are served', async () => {
    const objects = filesIn(join(sound.root, 'objects'));
    expect(new Set(objects.map((path) => path.split('/')[0]))).toEqual(new Set(['claims', 'indexes', 'layers']));
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), damages, async (pick, how) => {
        const key = objects[pick % objects.length] as string;
        await onCopy(async (lab) => {
          if (!damage(join(lab.root, 'objects', key), how)) return;
          const node = await lab.open('empty', 2);
          const failures = await readAll(node, [key]);
          for (const n of failures.keys()) expect(affectedBy(timelineOf(key))).toContain(n);
          if (failures.size > 0) failed++;
          await close(node);
        });
      }),
      { numRuns: runs },
    );
    // A few draws may all be of objects that nothing needs.
    expect(failed).toBeGreaterThanOrEqual(runs >= 50 ? runs / 10 : 0);
  }, 240_000);

  test('a file and its object damaged both: the error names the file and where it is damaged', async () => {
    const layers = filesIn(join(sound.root, 'data')).filter((path) => path.includes('/layers/'));
    await fc.assert(
      fc.asyncProperty(fc.nat(), damages, damages, async (pick, how, remotely) => {
        const file = layers[pick % layers.length] as string;
        const [, tenant = '', timeline = '', name = ''] =
          /tenants\/(\w+)\/timelines\/(\w+)\/layers\/(.*)$/.exec(file) ?? [];
        const key = `layers/${tenant}/${timeline}/${name}-00000001`;
        await onCopy(async (lab) => {
          damage(join(lab.root, 'objects', key), remotely);
          damage(join(lab.root, 'data', file), how);
          const node = await lab.open('data', 2);
          const failures = await readAll(node, [file, key]);
          for (const n of failures.keys()) expect(affectedBy(timelineOf(file))).toContain(n);
          await close(node);
        });
      }),
      { numRuns: Math.ceil(runs / 2) },
    );
  }, 240_000);

  test('the name of a data directory that is damaged keeps it from being taken for another: it is not opened, with the file named', async () => {
    await onCopy(async (lab) => {
      const path = join(lab.root, 'data', 'identity');
      damage(path, { kind: 'zeroes', place: 0, amount: 0, near: 1 });
      await expect(lab.open('data', 2)).rejects.toThrow(path);
    });
  });
}
