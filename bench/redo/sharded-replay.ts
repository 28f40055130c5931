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

export type ToShard =
  | ({ readonly kind: 'replay'; readonly shard: Shard } & WalToReplay)
  | { readonly kind: 'verify'; readonly recovered: string; readonly end: Lsn }
  | { readonly kind: 'forget' };

export type FromShard =
  | { readonly kind: 'replayed'; readonly records: number }
  | { readonly kind: 'verified'; readonly pages: number }
  | { readonly kind: 'forgotten' };

/** Replays WAL in processes, one a shard: each decodes all of it and redoes the pages of its own. The processes are kept, so that their code is compiled once. */
export class ShardedReplay {
  readonly #processes: readonly ChildProcess[];

  constructor(shards: number) {
    this.#processes = Array.from({ length: shards }, () => fork(new URL('./shard-process.ts', import.meta.url)));
  }

  /** @returns how many records there were */
  async run(wal: WalToReplay): Promise<number> {
    const count = this.#processes.length;
    const done = await this.#ask('replayed', (index) => ({ kind: 'replay', shard: { index, count }, ...wal }));
    return done[0]?.records ?? 0;
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
        const answer = Promise.race([
          once(shard, 'message'),
          once(shard, 'exit').then(([code]) => {
            throw new Error(`shard ${index} ended with code ${code}`);
          }),
        ]);
        shard.send(question(index));
        const [message] = (await answer) as [FromShard];
        if (message.kind !== kind) throw new Error(`a shard has ${message.kind} and was to have ${kind}`);
        return message as Extract<FromShard, { kind: K }>;
      }),
    );
  }
}
