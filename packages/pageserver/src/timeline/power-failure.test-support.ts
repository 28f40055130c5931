import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ValueKind } from '../key-space/value.ts';
import { InjectedFault } from './crashing-file-system.test-support.ts';
import type { StorageOptions } from './options.ts';
import { at, type ModelWriter, pageOf } from './storage-model.test-support.ts';

const MIB = 1024 * 1024;

/** A store so small that a few dozen values make tiers and images, and nothing happens unless it is asked for. */
export const SMALL_STORE: Partial<StorageOptions> = {
  memoryBytes: 16 * MIB,
  pageCacheBytes: MIB,
  indexCacheBytes: MIB,
  layerBytesTarget: 4 * BLCKSZ,
  imageAfterValues: 6,
  imageTiersMin: 1,
  imageTiersMax: 1,
  compactInBackground: false,
  retryDelayMs: 3_600_000,
};

/** Relations that {@link putSome} writes to, and blocks of each. */
export const RELATIONS = 3;
export const BLOCKS = 6;

/** Puts a value at each of `count` positions, images, operations and records, and commits there. */
export function putSome(writer: ModelWriter, from: number, count: number): void {
  for (let n = from; n < from + count; n++) {
    const kind = n % 11 === 0 ? ValueKind.image : n % 5 === 0 ? ValueKind.operation : ValueKind.record;
    const bytes = kind === ValueKind.image ? pageOf(n) : new Uint8Array(300).fill(n);
    writer.put(n % RELATIONS, (n * 7) % BLOCKS, at(n), kind, bytes);
    writer.timeline.noteCommit(at(n), (n * 1000) as CommitTime);
    writer.advance(at(n));
  }
}

/** Runs `work` in a directory that is removed afterwards. */
export async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'zenith-crash-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let x = seed * 2654435761 + 1;
  return () => {
    x = Math.imul(x ^ (x >>> 15), 2246822519) + 0x9e3779b9;
    return (x >>> 0) / 0x1_0000_0000;
  };
}

/** True when what was thrown is the fault, or several of it. */
export function isInjected(error: unknown): boolean {
  return (error instanceof AggregateError ? error.errors[0] : error) instanceof InjectedFault;
}

/** What still runs in the background finds the machine down. */
export function backgroundEnds(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}
