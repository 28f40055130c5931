import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Lsn } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import type { Shard } from './shard.ts';

/** WAL to replay. */
export interface WalToReplay {
  readonly major: PgMajor;
  /** The data directory as it was before the WAL. */
  readonly base: string;
  readonly walDirectory: string;
  readonly start: Lsn;
  /** Where the last record begins. */
  readonly end: Lsn;
}

/** What one shard did. */
export interface ShardRun {
  /** Records decoded, which are all. */
  readonly records: number;
  /** How often a block was redone: of all shards together, as often as records touch blocks. */
  readonly blocks: number;
  /** Unit: s. */
  readonly seconds: number;
}

export type ToShard =
  | ({ readonly kind: 'replay'; readonly shard: Shard } & WalToReplay)
  | { readonly kind: 'verify'; readonly recovered: string; readonly end: Lsn }
  | { readonly kind: 'forget' };

export type FromShard =
  | ({ readonly kind: 'replayed' } & ShardRun)
  | { readonly kind: 'verified'; readonly pages: number }
  | { readonly kind: 'forgotten' };

/** Replays WAL in processes, one a shard: each decodes all of it and redoes the pages of its own. The processes are kept, so that their code is compiled once. */
export class ShardedReplay {
  readonly #processes: readonly ChildProcess[];

  constructor(shards: number) {
    this.#processes = Array.from({ length: shards }, () => fork(new URL('./shard-process.ts', import.meta.url)));
  }

  /** @returns what each shard did */
  async run(wal: WalToReplay): Promise<readonly ShardRun[]> {
    const count = this.#processes.length;
    return this.#ask('replayed', (index) => ({ kind: 'replay', shard: { index, count }, ...wal }));
  }

  /** As {@link Replay.verify}. @throws Error for the first page that differs */
  async verify(recovered: string, end: Lsn): Promise<number> {
    const done = await this.#ask('verified', () => ({ kind: 'verify', recovered, end }));
    return done.reduce((sum, { pages }) => sum + pages, 0);
  }

  /** Closes the files of the last replay and lets go of its pages. */
  async forget(): Promise<void> {
    await this.#ask('forgotten', () => ({ kind: 'forget' }));
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#processes.map(async (shard) => {
        const ended = shard.exitCode === null ? once(shard, 'exit') : undefined;
        shard.kill();
        await ended;
      }),
    );
  }

  async #ask<K extends FromShard['kind']>(
    kind: K,
    question: (index: number) => ToShard,
  ): Promise<readonly Extract<FromShard, { kind: K }>[]> {
    return Promise.all(
      this.#processes.map(async (shard, index) => {
        const answered = new AbortController();
        const { signal } = answered;
        const answer = Promise.race([
          once(shard, 'message', { signal }),
          once(shard, 'exit', { signal }).then(([code]) => {
            throw new Error(`shard ${index} ended with code ${code}`);
          }),
        ]);
        shard.send(question(index));
        const [message] = (await answer) as [FromShard];
        answered.abort(); // no longer listens for the exit
        if (message.kind !== kind) throw new Error(`a shard has ${message.kind} and was to have ${kind}`);
        return message as Extract<FromShard, { kind: K }>;
      }),
    );
  }
}
