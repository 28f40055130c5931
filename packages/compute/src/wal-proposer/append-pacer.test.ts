import { expect, test } from 'vitest';
import { AppendPacer } from './append-pacer.ts';

const options = { spacingMs: 2, arrivalsMin: 3, memory: 4 };

/** Arrivals at these moments; those that may go are handed over at once, the others when their wait is over. Gives the moments of the hand-overs, in ms. */
function play(pacer: AppendPacer, arrivals: readonly number[]): number[] {
  const handOvers: number[] = [];
  let due: number | undefined;
  const handOver = (nowMs: number): void => {
    pacer.handedOver(nowMs);
    handOvers.push(nowMs);
    due = undefined;
  };
  for (const nowMs of arrivals) {
    if (due !== undefined && due <= nowMs) handOver(due);
    pacer.arrived();
    const waitMs = pacer.waitMs(nowMs);
    if (waitMs <= 0) handOver(nowMs);
    else due ??= nowMs + waitMs;
  }
  if (due !== undefined) handOver(due);
  return handOvers;
}

/** Makes it see that three commit at once. */
function crowded(): AppendPacer {
  const pacer = new AppendPacer(options);
  for (let i = 0; i < 3; i++) pacer.arrived();
  pacer.handedOver(0);
  return pacer;
}

test('a lone client never waits, however fast it commits', () => {
  const moments = Array.from({ length: 50 }, (_, i) => i * 0.1);
  expect(play(new AppendPacer(options), moments)).toEqual(moments);
});

test('two at a time do not wait either', () => {
  const pacer = new AppendPacer(options);
  for (let i = 0; i < 20; i++) {
    pacer.arrived();
    pacer.arrived();
    expect(pacer.waitMs(i * 0.3)).toBe(0);
    pacer.handedOver(i * 0.3);
  }
});

test('after three between two hand-overs the next ones wait, for the spacing at the longest', () => {
  expect(play(crowded(), [0.5, 1])).toEqual([2]);
});

test('WAL that comes after the spacing goes at once', () => {
  expect(play(crowded(), [2.5])).toEqual([2.5]);
});

test('when as many are there as ever were lately, the wait is over', () => {
  expect(play(crowded(), [0.5, 0.6, 0.7])).toEqual([0.7]);
});

test('a crowd that is gone is forgotten after as many hand-overs as are remembered', () => {
  const pacer = crowded();
  const waits: boolean[] = [];
  let nowMs = 0;
  for (let i = 0; i < 6; i++) {
    nowMs += 0.1;
    pacer.arrived();
    waits.push(pacer.waitMs(nowMs) > 0);
    pacer.handedOver(nowMs);
  }
  expect(waits).toEqual([true, true, true, true, false, false]);
});
