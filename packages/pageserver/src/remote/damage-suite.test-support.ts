import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorruptionError, type Lsn } from '@zenith/base';
import { LocalFolderStorage } from '@zenith/remote-storage';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ValueKind } from '../key-space/value.ts';
import {
  flip,
  LAYER_REGIONS,
  layerRegion,
  replaceFile,
  type FileRange,
  type LayerRegion,
} from '../layers/damage.test-support.ts';
import { StorageError } from '../timeline/errors.ts';
import {
  at,
  modelOutcome,
  ModelWriter,
  pageOf,
  StorageModel,
  TENANT,
  timelineId,
} from '../timeline/storage-model.test-support.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { layerKey } from './object-keys.ts';
import { BLOCKS, close, fetchedPage, type Node, play, RELATIONS, RemoteLab } from './remote-lab.test-support.ts';

/** Kinds of files that are damaged. Large: longer than what is fetched whole where the end would do. */
type FileKind = 'delta layer' | 'image layer' | 'large layer' | 'index' | 'claim';

/** A part of a file: of JSON the head has the checksum. */
type Part = LayerRegion | 'head' | 'body';

/** What they are made of. */
const PARTS: Readonly<Record<FileKind, readonly Part[]>> = {
  'delta layer': LAYER_REGIONS,
  'image layer': LAYER_REGIONS,
  'large layer': LAYER_REGIONS,
  index: ['head', 'body'],
  // Without a checksum.
  claim: ['body'],
};

const LAYERS = ['delta layer', 'image layer', 'large layer'] as const;

/** Something that happens to a file: a bit flips in the middle of a part of it, it ends there, or it is gone. */
interface Cell {
  readonly file: FileKind;
  readonly part: Part | 'all of it';
  readonly how: 'flip' | 'cut' | 'remove';
}

/** Everything that happens to files of these kinds. */
function cellsOf(...kinds: readonly FileKind[]): readonly Cell[] {
  return kinds.flatMap((file): Cell[] => [
    ...PARTS[file].flatMap((part): Cell[] => [
      { file, part, how: 'flip' },
      { file, part, how: 'cut' },
    ]),
    { file, part: 'all of it', how: 'remove' },
  ]);
}

const HOWS = ['flip', 'cut', 'remove'] as const;

/** By the test's name. */
const LOCAL_CELLS = cellsOf(...LAYERS, 'index').flatMap((cell) =>
  (['closed', 'in use'] as const).map((when) => [`${titleOf(cell)}, ${when}`, { ...cell, when }] as const),
);
const REMOTE_CELLS = cellsOf(...LAYERS, 'index', 'claim').map((cell) => [titleOf(cell), cell] as const);
/** Of one kind of layer and another something else happens to the object. */
const BOTH_CELLS = cellsOf(...LAYERS, 'index').map((cell, i) => {
  const remotely = HOWS[i % HOWS.length] as Cell['how'];
  return [`${titleOf(cell)}, and its object: ${remotely}`, { ...cell, remotely }] as const;
});

function titleOf({ file, part, how }: Cell): string {
  return `${file}, ${part}: ${how}`;
}

/** A file of a kind: on the disk, below the data directory, and as an object. */
interface DamagedFile {
  readonly path: string;
  readonly key: string;
  /** Whose it is. */
  readonly timeline: number;
}

/** What happens to a file at random. `place` and `amount` are fractions of its length. */
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

/** Images in the large layer. */
const IMAGES = 40;

const damages: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom('flip', 'flip', 'zeroes', 'cut', 'grow', 'remove'),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  amount: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  near: fc.constantFrom(0, 0, 1, 2),
});

/** Damages a file somewhere. Gives false when nothing has changed. */
function damage(path: string, { kind, place, amount, near }: Damage): boolean {
  const before = readFileSync(path);
  const { length } = before;
  const within = Math.min(length, NEAR_BYTES);
  const offset =
    near === 0 ? Math.floor(place * length) : Math.floor(place * within) + (near === 1 ? 0 : length - within);
  if (kind === 'remove') {
    rmSync(path);
    return true;
  }
  let after = new Uint8Array(before);
  if (kind === 'flip') after[offset] = (after[offset] as number) ^ (1 << Math.floor(amount * 8));
  else if (kind === 'zeroes') after.fill(0, offset, offset + 1 + Math.floor(amount * 9000));
  else if (kind === 'cut') after = after.subarray(0, offset);
  else after = new Uint8Array([...after, ...after.subarray(0, 1 + Math.floor(amount * 9000))]);
  replaceFile(path, after);
  return Buffer.compare(after, before) !== 0;
}

/** Damages the file of a cell. Gives the offset that errors name: where what has a wrong checksum begins, or where the file ends; undefined when there is no file. */
function damageCell(path: string, { file, part, how }: Cell): number | undefined {
  if (part === 'all of it') {
    rmSync(path);
    return undefined;
  }
  const { start, end } = partOf(path, file, part);
  const middle = Math.floor((start + end) / 2);
  if (how === 'cut') {
    replaceFile(path, readFileSync(path).subarray(0, middle));
    return middle;
  }
  flip(path, middle);
  return start;
}

function partOf(path: string, file: FileKind, part: Part): FileRange {
  if (part !== 'head' && part !== 'body') return layerRegion(path, part);
  const text = readFileSync(path, 'latin1');
  const body = file === 'claim' ? 0 : text.indexOf('"body":');
  return part === 'head' ? { start: 0, end: body } : { start: body, end: text.length };
}

/** Files below a folder, relative, sorted. */
function filesIn(folder: string): readonly string[] {
  return (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => statSync(join(folder, path)).isFile())
    .toSorted();
}

function folderOf(n: number): string {
  return join('tenants', TENANT, 'timelines', timelineId(n));
}

function timelineOf(path: string): number {
  const match = /0{24,31}([0-9a-f]+)\//.exec(path);
  return match === null ? 0 : Number.parseInt(match[1] ?? '0', 16);
}

/** A timeline and those that read from it. */
function affectedBy(n: number): readonly number[] {
  return n === 0 ? [1, 2, 3] : n === 1 ? [1, 2] : [n];
}

/** What came of reading pages of every timeline. */
interface Outcome {
  /** Timelines that are refused as a whole, and why. */
  readonly refused: ReadonlyMap<number, Error>;
  /** Reads that failed, by timeline. */
  readonly failed: ReadonlyMap<number, readonly Error[]>;
}

/** All is there and right. */
const SOUND: Outcome = { refused: new Map(), failed: new Map() };

/** Puts images into the same few pages again and again. */
function putImages(writer: ModelWriter): void {
  for (let n = 1; n <= IMAGES; n++) {
    writer.put(n % RELATIONS, n % BLOCKS, at(n), ValueKind.image, pageOf(n));
    writer.advance(at(n));
  }
}

/**
 * The tests of what damage to files and objects does.
 * @param runs so many pieces of damage in each, drawn at random, besides a table of all kinds of files, their parts, and what can happen to them; a failure prints its seed
 */
export function damageSuite(runs: number): void {
  /** A data directory and its objects, nothing damaged: timeline 1, its branch 2, and 3, which has nothing to do with them. All of it is in remote storage. */
  let sound: RemoteLab;
  let models: readonly StorageModel[];
  let files: Readonly<Record<FileKind, DamagedFile>>;
  /** What a read of a page at an LSN gives, by timeline and then in the order of {@link readAll}. */
  let right: readonly (readonly string[])[];

  beforeAll(async () => {
    sound = await RemoteLab.create();
    const node = await sound.open('data', 1);
    const [main, branch] = (await play(node)) as [ModelWriter, ModelWriter];
    const wanted = { tenant: TENANT, timeline: timelineId(3), pgMajor: 18, initialLsn: at(0) } as const;
    const other = new ModelWriter(await node.store.create(wanted), new StorageModel(at(0)));
    putImages(other);
    await other.timeline.flush();
    await node.remote.settled();
    const writers = [main, branch, other];
    for (const { timeline, model } of writers) expect(timeline.remoteConsistentLsn).toBe(model.lastLsn);
    models = writers.map(({ model }) => model);
    right = models.map((model) => pagesOf(model).map(([rel, block, lsn]) => modelOutcome(model, rel, block, lsn)));
    files = filesOf(main.timeline, other.timeline);
    await close(node);
  });
  afterAll(() => sound.remove());

  /** A file of each kind. */
  function filesOf(main: Timeline, other: Timeline): Readonly<Record<FileKind, DamagedFile>> {
    const layer = (n: number, { layers }: Timeline['layers'], kind: 'delta' | 'image', level: 0 | 1): DamagedFile => {
      const name = layers.find((one) => one.kind === kind && one.level === level)?.name ?? '';
      const key = layerKey(TENANT, timelineId(n), name, 1);
      return { path: join(folderOf(n), 'layers', name), key, timeline: n };
    };
    const json = (folder: string): DamagedFile => {
      const prefix = `${folder}/${TENANT}/${timelineId(1)}/`;
      const key = filesIn(join(sound.root, 'objects')).findLast((one) => one.startsWith(prefix)) ?? '';
      return { path: join(folderOf(1), 'index.json'), key, timeline: 1 };
    };
    return {
      'delta layer': layer(1, main.layers, 'delta', 1),
      'image layer': layer(1, main.layers, 'image', 1),
      'large layer': layer(3, other.layers, 'delta', 0),
      index: json('indexes'),
      claim: json('claims'),
    };
  }

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

  /** The pages of a timeline that are read: at its end, before its last layer, and before its images. */
  function pagesOf({ lastLsn }: StorageModel): readonly (readonly [rel: number, block: number, lsn: Lsn])[] {
    const pages: [number, number, Lsn][] = [];
    for (const lsn of [lastLsn, (lastLsn - 8 * 11) as Lsn, Math.min(lastLsn, at(69)) as Lsn])
      for (let rel = 0; rel < RELATIONS; rel++)
        for (let block = 0; block < BLOCKS; block++) pages.push([rel, block, lsn]);
    return pages;
  }

  /** Reads pages of every timeline: one that is served has all that was acknowledged, and what a read gives is right. */
  async function readAll({ store }: Node): Promise<Outcome> {
    const refused = new Map<number, Error>();
    const failed = new Map<number, Error[]>();
    for (const [i, model] of models.entries()) {
      const n = i + 1;
      let timeline: Timeline;
      try {
        timeline = store.get(TENANT, timelineId(n));
      } catch (error) {
        refused.set(n, error as Error);
        continue;
      }
      expect([timeline.lastRecordLsn, timeline.diskConsistentLsn]).toEqual([model.lastLsn, model.lastLsn]);
      for (const [page, [rel, block, lsn]] of pagesOf(model).entries()) {
        const shall = right[i]?.[page];
        const is = await fetchedPage(timeline, rel, block, lsn).catch((error: unknown) => error as Error);
        if (!(is instanceof Error)) expect(is).toBe(shall);
        else if (!(is instanceof StorageError) || shall !== `error ${is.code}`)
          failed.set(n, [...(failed.get(n) ?? []), is]);
      }
    }
    return { refused, failed };
  }

  /** A timeline and its branch are refused. @param path of its index, which is damaged; undefined: it has none here */
  function expectRefused({ refused, failed }: Outcome, n: number, path: string | undefined): void {
    expect(failed).toEqual(SOUND.failed);
    expect([...refused.keys()]).toEqual(affectedBy(n));
    if (path === undefined) expect(refused.get(n)).toMatchObject({ code: 'no-such-timeline' });
    else expect(refused.get(n)?.message).toContain(path);
    expect(refused.get(2)?.message).toContain('ancestor');
  }

  /** Every read that failed says that the object is bad, or that it is gone. */
  function expectBadObject({ failed }: Outcome, key: string, isGone: boolean): void {
    for (const error of [...failed.values()].flat()) {
      expect(error.message).toContain(key);
      if (isGone) expect(error).toMatchObject({ code: 'not-found' });
      else expect(error).toBeInstanceOf(CorruptionError);
    }
  }

  /** Every read that failed says where the file is bad, and that the object does not help. @param offset undefined: somewhere */
  function expectBadFile({ failed }: Outcome, path: string, key: string, offset: number | undefined): void {
    for (const error of [...failed.values()].flat()) {
      expect(error).toBeInstanceOf(CorruptionError);
      const [, byte, rest] = new RegExp(`/${path} at byte (\\d+)\\)(.*)$`, 's').exec(error.message) ?? [];
      expect({ message: error.message, byte }).toEqual({
        message: error.message,
        byte: offset === undefined ? (expect.any(String) as string) : String(offset),
      });
      expect(rest).toContain(key);
    }
  }

  test('every kind of file is damaged in each of its parts, in every way', () => {
    expect([LOCAL_CELLS.length, REMOTE_CELLS.length, BOTH_CELLS.length]).toEqual([76, 41, 38]);
    for (const { path } of Object.values(files)) expect(statSync(join(sound.root, 'data', path)).isFile()).toBe(true);
    for (const { key } of Object.values(files)) expect(statSync(join(sound.root, 'objects', key)).isFile()).toBe(true);
    expect(statSync(join(sound.root, 'data', files['large layer'].path)).size).toBeGreaterThan(256 * 1024);
  });

  test.each(LOCAL_CELLS)(
    'on the disk %s: remote storage makes it good, every page is read, and right',
    async (_, cell) => {
      await onCopy(async (lab) => {
        const path = join(lab.root, 'data', files[cell.file].path);
        const before = readFileSync(path);
        if (cell.when === 'in use') {
          const node = await lab.open('data', 2, undefined, FEW_FILES);
          expect(await readAll(node)).toEqual(SOUND);
          damageCell(path, cell);
          expect(await readAll(node)).toEqual(SOUND);
          await close(node);
        } else damageCell(path, cell);
        const node = await lab.open('data', 3);
        expect(await readAll(node)).toEqual(SOUND);
        await close(node);
        expect(readFileSync(path).equals(before)).toBe(true);
      });
    },
    240_000,
  );

  test('whatever happens to a file on the disk, while it is closed or in use, remote storage makes good: every page is read, and right', async () => {
    const local = filesIn(join(sound.root, 'data')).filter((path) => path.startsWith('tenants/'));
    await fc.assert(
      fc.asyncProperty(fc.nat(), damages, fc.boolean(), async (pick, how, inUse) => {
        const file = local[pick % local.length] as string;
        await onCopy(async (lab) => {
          const path = join(lab.root, 'data', file);
          if (inUse) {
            const node = await lab.open('data', 2, undefined, FEW_FILES);
            expect(await readAll(node)).toEqual(SOUND);
            damage(path, how);
            expect(await readAll(node)).toEqual(SOUND);
            await close(node);
          } else damage(path, how);
          const node = await lab.open('data', 3);
          expect(await readAll(node)).toEqual(SOUND);
          await close(node);
        });
      }),
      { numRuns: runs },
    );
  }, 240_000);

  test.each(REMOTE_CELLS)(
    'in remote storage while the disk is lost %s: what needs it fails and names it, all else is right',
    async (_, cell) => {
      const { key, timeline } = files[cell.file];
      await onCopy(async (lab) => {
        damageCell(join(lab.root, 'objects', key), cell);
        const node = await lab.open('empty', 2);
        const outcome = await readAll(node);
        await close(node);
        if (cell.file === 'claim') expect(outcome).toEqual(SOUND);
        else if (cell.file === 'index') {
          expectRefused(outcome, timeline, undefined);
          // An index that is gone is one that never was.
          expect(lab.causes.map(({ message }) => message)).toEqual(
            cell.how === 'remove' ? [] : [expect.stringContaining(key)],
          );
        } else {
          expect(outcome.refused).toEqual(SOUND.refused);
          expect(outcome.failed.get(timeline)).not.toBeUndefined();
          for (const n of outcome.failed.keys()) expect(affectedBy(timeline)).toContain(n);
          expectBadObject(outcome, key, cell.how === 'remove');
        }
      });
    },
    240_000,
  );

  test('whatever happens to an object while the disk is lost: what needs it fails and names it, all else is right, and timelines that have nothing to do with it are served', async () => {
    const objects = filesIn(join(sound.root, 'objects'));
    expect(new Set(objects.map((path) => path.split('/')[0]))).toEqual(new Set(['claims', 'indexes', 'layers']));
    await fc.assert(
      fc.asyncProperty(fc.nat(), damages, async (pick, how) => {
        const key = objects[pick % objects.length] as string;
        await onCopy(async (lab) => {
          if (!damage(join(lab.root, 'objects', key), how)) return;
          const node = await lab.open('empty', 2);
          const outcome = await readAll(node);
          await close(node);
          for (const n of [...outcome.refused.keys(), ...outcome.failed.keys()])
            expect(affectedBy(timelineOf(key))).toContain(n);
          if (!key.startsWith('indexes/')) expect(outcome.refused).toEqual(SOUND.refused);
          if (!key.startsWith('layers/')) expect(outcome.failed).toEqual(SOUND.failed);
          expectBadObject(outcome, key, how.kind === 'remove');
        });
      }),
      { numRuns: runs },
    );
  }, 240_000);

  test.each(BOTH_CELLS)(
    'on the disk %s: the error names the file, where it is damaged, and the object',
    async (_, cell) => {
      const { path, key, timeline } = files[cell.file];
      await onCopy(async (lab) => {
        const part = cell.remotely === 'remove' ? 'all of it' : (PARTS[cell.file][1] as Part);
        damageCell(join(lab.root, 'objects', key), { file: cell.file, part, how: cell.remotely });
        const offset = damageCell(join(lab.root, 'data', path), cell);
        const node = await lab.open('data', 2);
        const outcome = await readAll(node);
        await close(node);
        if (cell.file === 'index') {
          expectRefused(outcome, timeline, cell.how === 'remove' ? undefined : path);
          return;
        }
        expect(outcome.refused).toEqual(SOUND.refused);
        expect(outcome.failed.get(timeline)).not.toBeUndefined();
        for (const n of outcome.failed.keys()) expect(affectedBy(timeline)).toContain(n);
        if (offset === undefined) expectBadObject(outcome, key, cell.remotely === 'remove');
        else expectBadFile(outcome, path, key, offset);
      });
    },
    240_000,
  );

  test('a file and its object damaged both, somewhere: the error names the file, where it is damaged, and the object', async () => {
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
          const outcome = await readAll(node);
          await close(node);
          expect(outcome.refused).toEqual(SOUND.refused);
          for (const n of outcome.failed.keys()) expect(affectedBy(timelineOf(file))).toContain(n);
          if (how.kind === 'remove') expectBadObject(outcome, key, remotely.kind === 'remove');
          else expectBadFile(outcome, file, key, undefined);
        });
      }),
      { numRuns: Math.ceil(runs / 2) },
    );
  }, 240_000);

  test.each(['flip', 'cut'] as const)(
    'the name of a data directory that is damaged (%s) keeps it from being taken for another: it is not opened, with the file named',
    async (how) => {
      await onCopy(async (lab) => {
        const path = join(lab.root, 'data', 'identity');
        damageCell(path, { file: 'claim', part: 'body', how });
        await expect(lab.open('data', 2)).rejects.toThrow(path);
      });
    },
  );
}
