import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PG_TIMELINE, parseLsn } from '@zenith/base';
import { walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import {
  SEGMENT_SIZE,
  type ComputeCluster,
} from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';

/** Bound on the time in which a safekeeper that lags gets what it lacks, and the compute is idle for a moment. Unit: ms. */
const CATCH_UP_MAX_MS = 60_000;

/** Pause between looks: safekeepers tell nobody when they are at the end. Unit: ms. */
const LOOK_EVERY_MS = 20;

const NOTHING = Buffer.alloc(0);
const ZEROES = Buffer.alloc(SEGMENT_SIZE);

/** The segments of a timeline, by default the cluster's first, on one safekeeper, by name. */
export function segmentsOf(
  cluster: ComputeCluster,
  index: number,
  timeline: string = cluster.config.timeline,
): ReadonlyMap<string, Buffer> {
  const { tenant } = cluster.config;
  const folder = join(cluster.safekeepers[index]?.dataDir ?? '', 'tenants', tenant, timeline);
  const names = readdirSync(folder).filter((name) => /^[0-9A-F]{24}$/.test(name));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name))]));
}

/** Where the WAL ends on all safekeepers; undefined when not on all of them at the same place. */
async function commonEnd(cluster: ComputeCluster, timeline: string): Promise<string | undefined> {
  const [first, ...others] = await Promise.all(
    cluster.safekeepers.map(async (_, index) => (await cluster.safekeeperStatus(index, timeline)).flushLsn),
  );
  return others.every((end) => end === first) ? first : undefined;
}

/**
 * How the safekeepers' copies of a timeline's WAL, by default the cluster's first, differ, byte for byte, what lies behind its end too; in words, nothing when they do not. The compute runs, so that who lags catches up, and has nothing to do.
 * @throws Error when they are at no time all at the same place
 */
export async function differencesOfWal(
  cluster: ComputeCluster,
  timeline: string = cluster.config.timeline,
): Promise<string[]> {
  const deadline = performance.now() + CATCH_UP_MAX_MS;
  while (performance.now() < deadline) {
    const end = await commonEnd(cluster, timeline);
    if (end !== undefined) {
      const copies = cluster.safekeepers.map((_, index) => segmentsOf(cluster, index, timeline));
      // Read while nothing was written.
      if ((await commonEnd(cluster, timeline)) === end) return compare(copies, end);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw new Error(`the safekeepers did not come to the same end of the WAL within ${CATCH_UP_MAX_MS} ms`);
}

function compare(copies: readonly ReadonlyMap<string, Buffer>[], end: string): string[] {
  const problems: string[] = [];
  const last = walSegmentFileName(PG_TIMELINE, walSegmentNumber(parseLsn(end), SEGMENT_SIZE), SEGMENT_SIZE);
  for (const name of new Set(copies.flatMap((copy) => [...copy.keys()]))) {
    // A segment behind the end is made ahead, full of zeroes, or not yet.
    const [first = NOTHING, ...others] = copies.map((copy) => copy.get(name) ?? (name > last ? ZEROES : NOTHING));
    for (const [index, other] of others.entries()) {
      if (first.equals(other)) continue;
      const at = first.findIndex((byte, position) => byte !== other[position]);
      problems.push(
        `segment ${name} on safekeepers 1 (${first.length} bytes) and ${index + 2} (${other.length} bytes) differs from byte ${at} on; the WAL ends at ${end}`,
      );
    }
  }
  return problems;
}
