import { vi } from 'vitest';
import type * as configurationModule from '../packages/consensus/src/configuration.ts';
import type * as positionModule from '../packages/consensus/src/position.ts';
import type * as termHistoryModule from '../packages/consensus/src/term-history.ts';

// The rules of the protocol that a checker must see broken. The core knows nothing of it: one of its modules is replaced, in the copy of the code that is imported next.

/** Rules that can be broken. */
export const RULES = ['half-the-votes', 'donor-by-lsn', 'donor-by-term', 'no-truncation', 'older-term-commit'] as const;

/** One of them. */
export type Rule = (typeof RULES)[number];

const CONFIGURATION = '../packages/consensus/src/configuration.ts';
const POSITION = '../packages/consensus/src/position.ts';
const TERM_HISTORY = '../packages/consensus/src/term-history.ts';
const COMMIT_RULE = '../packages/consensus/src/proposer/commit-rule.ts';

/** Breaks one rule for everything that is imported from here on, until {@link mendRules}. */
export function breakRule(rule: Rule): void {
  vi.resetModules();
  switch (rule) {
    case 'half-the-votes':
      vi.doMock(CONFIGURATION, async (original) => {
        const real = await original<typeof configurationModule>();
        const hasQuorum: typeof real.hasQuorum = ({ members }, agrees) =>
          members.filter(agrees).length >= Math.max(1, Math.floor(members.length / 2));
        return { ...real, hasQuorum };
      });
      return;
    case 'donor-by-lsn':
    case 'donor-by-term':
      vi.doMock(POSITION, async (original) => {
        const real = await original<typeof positionModule>();
        const field = rule === 'donor-by-lsn' ? 'flushLsn' : 'lastTerm';
        const mostAdvanced: typeof real.mostAdvanced = (candidates, positionOf) =>
          candidates.toSorted((a, b) => positionOf(b)[field] - positionOf(a)[field])[0] as (typeof candidates)[number];
        return { ...real, mostAdvanced };
      });
      return;
    case 'no-truncation':
      vi.doMock(TERM_HISTORY, async (original) => {
        const real = await original<typeof termHistoryModule>();
        const highestCommonPoint: typeof real.highestCommonPoint = (...[, , flushLsn]) => flushLsn;
        return { ...real, highestCommonPoint };
      });
      return;
    case 'older-term-commit':
      vi.doMock(COMMIT_RULE, () => ({ countedLsn: (flushLsn: number | null) => flushLsn }));
      return;
    default:
      rule satisfies never;
  }
}

/** Ends what {@link breakRule} began. */
export function mendRules(): void {
  for (const path of [CONFIGURATION, POSITION, TERM_HISTORY, COMMIT_RULE]) vi.doUnmock(path);
  vi.resetModules();
}
