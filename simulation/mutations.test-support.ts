import { vi } from 'vitest';
import type { AcceptorControl } from '@zenith/consensus';
import type * as copyRuleModule from '../packages/consensus/src/acceptor/copy-rule.ts';
import type * as configurationModule from '../packages/consensus/src/configuration.ts';
import type * as positionModule from '../packages/consensus/src/position.ts';
import type * as replicationModule from '../packages/consensus/src/proposer/replication.ts';
import type * as termHistoryModule from '../packages/consensus/src/term-history.ts';
import type * as cleanMarkerModule from '../packages/safekeeper/src/control-file/clean-marker.ts';
import type * as controlFileModule from '../packages/safekeeper/src/control-file/control-file.ts';
import type * as walWriterModule from '../packages/safekeeper/src/wal-storage/wal-writer.ts';

// The rules that a checker must see broken. Production knows nothing of it: one of its modules is replaced, in the copy of the code that is imported next.

/** What can be broken: rules of the core, then of the safekeeper's shell. */
export type Rule =
  | 'half-the-votes'
  | 'donor-by-lsn'
  | 'donor-by-term'
  | 'no-truncation'
  | 'older-term-commit'
  | 'no-return'
  | 'copies-what-diverged'
  | 'forgotten-vote'
  | 'no-sync'
  | 'trusted-files';

const COPY_RULE = '../packages/consensus/src/acceptor/copy-rule.ts';
const CONFIGURATION = '../packages/consensus/src/configuration.ts';
const POSITION = '../packages/consensus/src/position.ts';
const TERM_HISTORY = '../packages/consensus/src/term-history.ts';
const COMMIT_RULE = '../packages/consensus/src/proposer/commit-rule.ts';
const REPLICATION = '../packages/consensus/src/proposer/replication.ts';

const CONTROL_FILE = '../packages/safekeeper/src/control-file/control-file.ts';
const CLEAN_MARKER = '../packages/safekeeper/src/control-file/clean-marker.ts';
const WAL_WRITER = '../packages/safekeeper/src/wal-storage/wal-writer.ts';

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
    case 'no-return':
      vi.doMock(REPLICATION, async (original) => {
        const real = await original<typeof replicationModule>();
        // Whoever was heard of in this term, and comes back on another connection, gets no more WAL.
        const startStreaming: typeof real.startStreaming = (state, progress, vote, effects) =>
          progress.flushLsn === null ? real.startStreaming(state, progress, vote, effects) : state;
        return { ...real, startStreaming };
      });
      return;
    case 'copies-what-diverged':
      vi.doMock(COPY_RULE, async (original) => {
        const real = await original<typeof copyRuleModule>();
        const copyVerdict: typeof real.copyVerdict = (state, source) => {
          const verdict = real.copyVerdict(state, source);
          return verdict === 'diverged' ? 'copy' : verdict;
        };
        return { ...real, copyVerdict };
      });
      return;
    case 'forgotten-vote':
      vi.doMock(CONTROL_FILE, async (original) => {
        const { ControlFile } = await original<typeof controlFileModule>();
        class Forgetful extends ControlFile {
          /** With the term of the last Elected. */
          override save(control: AcceptorControl): Promise<void> {
            return super.save({ ...control, term: control.history.at(-1)?.term ?? 0 });
          }
        }
        return { ControlFile: Forgetful };
      });
      return;
    case 'no-sync':
      vi.doMock(WAL_WRITER, async (original) => {
        const { WalWriter } = await original<typeof walWriterModule>();
        class Hasty extends WalWriter {
          override sync(): Promise<void> {
            return Promise.resolve();
          }
        }
        return { WalWriter: Hasty };
      });
      return;
    case 'trusted-files':
      vi.doMock(CLEAN_MARKER, async (original) => {
        const { CleanMarker } = await original<typeof cleanMarkerModule>();
        class Trusting extends CleanMarker {
          override async take(): Promise<boolean> {
            await super.take();
            return true;
          }
        }
        return { CleanMarker: Trusting };
      });
      return;
    default:
      rule satisfies never;
  }
}

/** Ends what {@link breakRule} began. */
export function mendRules(): void {
  for (const path of [
    COPY_RULE,
    CONFIGURATION,
    POSITION,
    TERM_HISTORY,
    COMMIT_RULE,
    REPLICATION,
    CONTROL_FILE,
    CLEAN_MARKER,
    WAL_WRITER,
  ])
    vi.doUnmock(path);
  vi.resetModules();
}
