import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { COMMAND } from '../support/zenith.ts';

const HOOK = new URL('effects.mjs', import.meta.url).href;

/** What a command has done, and how it ended. */
export interface Run {
  /** What it did to the world outside of it, in order: `openSync /a/b`, `spawn node …`, `answered GET /v1/status`. */
  readonly effects: readonly string[];
  /** True when it was killed, false when it came to its end before. */
  readonly wasKilled: boolean;
  readonly code: number | null;
}

/**
 * Gives a command that is killed right after its n-th effect (effects.mjs says what counts).
 * @param n from 1; undefined lets it come to its end
 * @param folder where it is given, and where its own temporary files go
 */
export async function killedAfter(n: number | undefined, folder: string, args: readonly string[]): Promise<Run> {
  const file = join(folder, 'effects');
  rmSync(file, { force: true });
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: folder,
    stdio: 'ignore',
    env: {
      ...process.env,
      TMPDIR: folder,
      NODE_OPTIONS: `--import ${HOOK}`,
      ZENITH_EFFECTS_FILE: file,
      ...(n === undefined ? {} : { ZENITH_KILL_AFTER: String(n) }),
    },
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...ending) => resolve(ending));
  });
  const effects = readFileSync(file, 'utf8').trimEnd().split('\n');
  rmSync(file);
  return { effects, wasKilled: signal === 'SIGKILL', code };
}

/** At most `most` moments of a command, one of each of as many equal parts of its life, and its last. What is removed with all that is in it is met once. */
export function momentsOf(effects: readonly string[], most: number, random: Random): number[] {
  const isRemoval = (effect: string | undefined): boolean => /^(unlink|rmdir)Sync/.test(effect ?? '');
  const all = effects.flatMap((effect, index) =>
    isRemoval(effect) && isRemoval(effects[index - 1]) ? [] : [index + 1],
  );
  const parts = Math.min(most, all.length);
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part, part + 1].map((n) => Math.floor((n * all.length) / parts)) as [number, number];
    return all.slice(from, to);
  }).map((part, index) => (index === parts - 1 ? (part.at(-1) as number) : random.pick(part)));
}
