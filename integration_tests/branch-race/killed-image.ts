import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { LocalFolderStorage } from '@zenith/remote-storage';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { HistoryPolicy } from '../../packages/pageserver/src/gc/plan.ts';
import { fetchedOutcome } from '../../packages/pageserver/src/remote/remote-lab.test-support.ts';
import type { StorageOptions } from '../../packages/pageserver/src/timeline/options.ts';
import {
  chainRedo,
  TENANT,
  unsyncedFileSystem,
} from '../../packages/pageserver/src/timeline/storage-model.test-support.ts';
import { TimelineStore } from '../../packages/pageserver/src/timeline/timeline-store.ts';
import type { LineState, RaceLine } from './race-line.ts';
import { openNode, type RaceNode } from './race-node.ts';

/** What is left: the data directory alone, it and remote storage, or remote storage alone; at the end that has everything. */
export type Left = 'the disk' | 'both' | 'remote storage' | 'all of remote storage';

/** How an image is opened. */
export interface ImageSetup {
  readonly options: Partial<StorageOptions>;
  readonly policy: HistoryPolicy;
  readonly generation: number;
  readonly random: Random;
}

/** What a killed pageserver has left, and what was known of its lines when it was killed. */
export class KilledImage {
  readonly #folder: string;
  readonly #when: string;
  readonly #clock: number;
  readonly #lines: readonly { readonly line: RaceLine; readonly state: LineState; readonly held: readonly string[] }[];

  /** @param clock the time of the race. Unit: ms */
  constructor(folder: string, lines: readonly RaceLine[], clock: number, when: string) {
    this.#folder = folder;
    this.#when = when;
    this.#clock = clock;
    this.#lines = lines.map((line) => ({
      line,
      state: line.state,
      held: line.leases.filter(({ isHeld, until }) => isHeld && until > clock).map(({ holder }) => holder),
    }));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** Opens what is left, ingests what is not on it, collects what nobody needs, and says what is not as it has to be. */
  async problems(left: Left, setup: ImageSetup): Promise<string[]> {
    const { store, remote } = await this.#open(left, setup);
    const problems: string[] = [];
    const look = async (then: string): Promise<void> => {
      for (const problem of await this.#look(store, left, setup.random))
        problems.push(`${this.#when}, left with ${left}, ${then}: ${problem}`);
    };
    try {
      this.#replay(store);
      await look('opened');
      const isWhole = store.broken.size === 0;
      for (const { tenant, timeline } of store.list()) {
        const collecting = store.collect(tenant, timeline, setup.policy, true, () => this.#clock);
        const code = await collecting.then(
          () => 'done',
          (error: unknown) => (error as { code?: string }).code,
        );
        if (code !== (isWhole ? 'done' : 'history-needed')) problems.push(`${this.#when}: a collection: ${code}`);
      }
      await look('collected');
    } finally {
      await store.close();
      await remote?.close(0);
    }
    return problems;
  }

  async #open(left: Left, { options, generation }: ImageSetup): Promise<Pick<RaceNode, 'store'> & Partial<RaceNode>> {
    const log = { info: () => undefined, warn: () => undefined };
    const fileSystem = unsyncedFileSystem;
    const opened = { ...options, compactInBackground: false };
    const dataDirectory = join(this.#folder, left.endsWith('remote storage') ? 'empty' : 'data');
    if (left === 'the disk')
      return { store: TimelineStore.open(dataDirectory, { options: opened, redo: chainRedo, fileSystem, log }) };
    const storage = await LocalFolderStorage.open(join(this.#folder, 'objects'));
    return openNode({ dataDirectory, storage, generation, fileSystem, options: opened, log });
  }

  async #look(store: TimelineStore, left: Left, random: Random): Promise<string[]> {
    const problems: string[] = [];
    const isDiskThere = left === 'the disk' || left === 'both';
    for (const { line, state, held } of this.#lines) {
      const timeline = store.find(TENANT, line.id);
      const broken = store.broken.get(`${TENANT}/${line.id}`);
      if (broken !== undefined) {
        // With the disk its ancestor went, before anything of that was uploaded.
        const parent = line.parent === undefined ? undefined : store.find(TENANT, line.parent.id);
        if (left !== 'remote storage' || parent !== undefined) problems.push(`line ${line.n}: ${String(broken)}`);
      } else if (timeline === undefined) {
        if (state === 'there' && left !== 'remote storage') problems.push(`line ${line.n} is not there`);
      } else if (state === 'gone') problems.push(`line ${line.n} is there again`);
      if (timeline === undefined) continue;
      const ancestor = timeline.ancestor?.timeline;
      // The parent had not come there when this was opened.
      if (ancestor !== undefined && ancestor.lastRecordLsn < line.point) continue;
      for (const check of line.checks(timeline, random, ({ holder }) => isDiskThere && held.includes(holder))) {
        const wrong = line.wrong(check, await fetchedOutcome(timeline, check.rel, check.block, check.lsn));
        if (wrong !== undefined) problems.push(wrong);
      }
    }
    return problems;
  }

  /** Ancestors have lower numbers. */
  #replay(store: TimelineStore): void {
    for (const { line } of this.#lines) {
      const timeline = store.find(TENANT, line.id);
      if (timeline !== undefined) line.writer?.replayInto(timeline);
    }
  }
}
