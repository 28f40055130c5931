import type { Lsn } from '@zenith/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasQuorum, isConfiguration, nodeId, quorumLsn, quorumSize, type Configuration } from './configuration.ts';

const members = fc
  .uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 })
  .map((ids) => ids.map(nodeId));
const configurations: fc.Arbitrary<Configuration> = fc.record({
  generation: fc.constant(1),
  members,
  newMembers: fc.option(members),
});

describe('a quorum', () => {
  test('is more than half', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(quorumSize)).toEqual([1, 2, 2, 3, 3, 4, 4]);
  });

  test('shares a member with every other quorum of the same configuration', () => {
    fc.assert(
      fc.property(configurations, fc.bigInt({ min: 0n, max: 1023n }), (configuration, mask) => {
        const inside = hasQuorum(configuration, (node) => ((mask >> BigInt(node)) & 1n) === 1n);
        const outside = hasQuorum(configuration, (node) => ((mask >> BigInt(node)) & 1n) === 0n);
        expect(inside && outside).toBe(false);
      }),
    );
  });

  test('has reached an LSN exactly when those that have are a quorum', () => {
    fc.assert(
      fc.property(
        configurations,
        fc.array(fc.option(fc.integer({ min: 1, max: 50 })), { minLength: 10, maxLength: 10 }),
        (configuration, lsns) => {
          const reached = quorumLsn(configuration, (node) => (lsns[node] ?? null) as Lsn | null);
          for (let lsn = 1; lsn <= 50; lsn++) {
            const have = hasQuorum(configuration, (node) => (lsns[node] ?? 0) >= lsn);
            expect(have).toBe(reached !== null && reached >= lsn);
          }
        },
      ),
    );
  });
});

test('a configuration has members, each once', () => {
  expect(isConfiguration({ generation: 1, members: [nodeId(1)], newMembers: null })).toBe(true);
  expect(isConfiguration({ generation: 0, members: [nodeId(1)], newMembers: null })).toBe(false);
  expect(isConfiguration({ generation: 1, members: [], newMembers: null })).toBe(false);
  expect(isConfiguration({ generation: 1, members: [nodeId(1), nodeId(1)], newMembers: null })).toBe(false);
  expect(isConfiguration({ generation: 1, members: [nodeId(1)], newMembers: [] })).toBe(false);
});
