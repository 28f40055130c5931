import type { HistoryCell } from './cells.ts';
import type { Observation } from './roles.ts';
import { Violation } from './violation.ts';

/** Nothing has happened yet. */
export const NO_HISTORY: HistoryCell = { committed: '', committedBy: '', elected: '', cuts: 0 };

/**
 * What an observer of everything remembers after one more observation.
 * @throws Violation when a term is elected twice, when an elected proposer lacks what was acknowledged by an older term, or when two entries are acknowledged for one LSN
 */
export function observe(history: HistoryCell, observation: Observation): HistoryCell {
  const { committed, committedBy } = history;
  const { term, log } = observation;
  if (observation.type === 'elected') {
    if (history.elected.includes(String(term))) throw new Violation(`term ${term} is elected twice`);
    for (let i = 0; i < committed.length; i++) {
      // A leader of an older term, whose votes came late, can do no harm any more.
      if (Number(committedBy[i]) < term && log[i] !== committed[i])
        throw new Violation(
          `the leader of term ${term} has ${log}, and ${committed} was acknowledged by ${committedBy}`,
        );
    }
    checkServed(history, observation.committed);
    return { ...history, elected: history.elected + String(term) };
  }
  const common = Math.min(log.length, committed.length);
  if (log.slice(0, common) !== committed.slice(0, common))
    throw new Violation(`the leader of term ${term} acknowledges ${log} where ${committed} was acknowledged`);
  if (log.length <= committed.length) return history;
  return { ...history, committed: log, committedBy: committedBy.padEnd(log.length, String(term)) };
}

/** @throws Violation when what is served as committed was never acknowledged */
export function checkServed(history: HistoryCell, served: string): void {
  if (!history.committed.startsWith(served))
    throw new Violation(`${served} is served as committed, and ${history.committed} was acknowledged`);
}
