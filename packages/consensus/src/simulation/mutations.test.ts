import { afterEach, describe, expect, test, vi } from 'vitest';
import type * as configurationModule from '../configuration.ts';
import type { Configuration, NodeId } from '../configuration.ts';
import type * as positionModule from '../position.ts';
import type * as termHistoryModule from '../term-history.ts';
import type { ClusterOptions } from './cluster.test-support.ts';

// The checker is worth what it catches: each test breaks one rule of the protocol, in a fresh copy of the modules, and the simulation must notice.

const SEEDS_MAX = 2_000;

/** The first seed that shows the mutation, 0 when none does; the rules as they are show none (simulation.prop.test.ts). */
async function firstViolation(options: Omit<ClusterOptions, 'seed' | 'steps'>): Promise<number> {
  vi.resetModules();
  const { Cluster } = await import('./cluster.test-support.ts');
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    try {
      new Cluster({ ...options, seed, steps: 1_500 }).run();
    } catch {
      return seed;
    }
  }
  return 0;
}

afterEach(() => {
  vi.doUnmock('../configuration.ts');
  vi.doUnmock('../position.ts');
  vi.doUnmock('../proposer/commit-rule.ts');
  vi.doUnmock('../term-history.ts');
  vi.resetModules();
});

describe('the simulation notices', () => {
  test('an election with half of the votes', async () => {
    vi.doMock('../configuration.ts', async (original) => {
      const real = await original<typeof configurationModule>();
      const hasQuorum = (configuration: Configuration, agrees: (node: NodeId) => boolean): boolean =>
        configuration.members.filter(agrees).length >= Math.floor(configuration.members.length / 2);
      return { ...real, hasQuorum };
    });
    expect(await firstViolation({ nodes: 3 })).toBeGreaterThan(0);
  });

  test('a donor chosen by LSN alone', async () => {
    vi.doMock('../position.ts', async (original) => {
      const real = await original<typeof positionModule>();
      const mostAdvanced: typeof real.mostAdvanced = (candidates, positionOf) =>
        candidates.toSorted(
          (a, b) => positionOf(b).flushLsn - positionOf(a).flushLsn,
        )[0] as (typeof candidates)[number];
      return { ...real, mostAdvanced };
    });
    expect(await firstViolation({ nodes: 3 })).toBeGreaterThan(0);
  });

  test('a donor chosen by term alone', async () => {
    vi.doMock('../position.ts', async (original) => {
      const real = await original<typeof positionModule>();
      const mostAdvanced: typeof real.mostAdvanced = (candidates, positionOf) =>
        candidates.toSorted(
          (a, b) => positionOf(b).lastTerm - positionOf(a).lastTerm,
        )[0] as (typeof candidates)[number];
      return { ...real, mostAdvanced };
    });
    expect(await firstViolation({ nodes: 3 })).toBeGreaterThan(0);
  });

  test('no truncation to the common point', async () => {
    vi.doMock('../term-history.ts', async (original) => {
      const real = await original<typeof termHistoryModule>();
      return {
        ...real,
        highestCommonPoint: (...[, , flushLsn]: Parameters<typeof real.highestCommonPoint>) => flushLsn,
      };
    });
    expect(await firstViolation({ nodes: 3 })).toBeGreaterThan(0);
  });

  test('an acceptor that forgets its vote in a crash', async () => {
    expect(await firstViolation({ nodes: 3, skip: 'persistControl' })).toBeGreaterThan(0);
  });

  test('a vote that reports WAL which is not durable', async () => {
    expect(await firstViolation({ nodes: 3, skip: 'syncWal' })).toBeGreaterThan(0);
  });

  test('a truncation that the disk never sees', async () => {
    expect(await firstViolation({ nodes: 3, skip: 'truncateWal' })).toBeGreaterThan(0);
  });
});

test('the directed figure 8 scenario notices WAL of an older term that is committed on its own, which chaos finds in one run of thousands', async () => {
  const commitLsn = async (): Promise<number> => {
    vi.resetModules();
    const { figure8 } = await import('./figure-8.test-support.ts');
    return figure8().state.commitLsn;
  };
  expect(await commitLsn()).toBe(100);
  vi.doMock('../proposer/commit-rule.ts', () => ({ countedLsn: (flushLsn: number | null) => flushLsn }));
  expect(await commitLsn()).toBe(136);
});
