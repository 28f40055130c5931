import { describe, expect, it } from 'vitest';
import { pauseWhileAway, RESTARTS_MAX, RestartPolicy } from './restart-policy.ts';

const MINUTE_MS = 60_000;

describe('restarts after crashes', () => {
  it('come at once, then ever more slowly, then not at all', () => {
    const policy = new RestartPolicy();
    expect(Array.from({ length: RESTARTS_MAX + 2 }, (_, i) => policy.next(i * 1000))).toEqual([
      0,
      500,
      1000,
      2000,
      4000,
      undefined,
      undefined,
    ]);
  });

  it('are counted anew after PostgreSQL has run for a minute, not before', () => {
    const policy = new RestartPolicy();
    for (let i = 0; i < RESTARTS_MAX; i++) {
      policy.noteRun(MINUTE_MS - 1);
      expect(policy.next(0)).toBeDefined();
    }
    policy.noteRun(MINUTE_MS - 1);
    expect(policy.next(0)).toBeUndefined();
    policy.noteRun(MINUTE_MS);
    expect(policy.next(0)).toBe(0);
  });

  it('that find storage away come ever more slowly, and go on', () => {
    expect([1, 2, 3, 4, 5, 100].map((attempts) => pauseWhileAway(attempts))).toEqual([
      500, 1000, 2000, 4000, 4000, 4000,
    ]);
  });

  it('are forgotten after ten minutes, one by one', () => {
    const policy = new RestartPolicy();
    for (let minute = 0; minute < RESTARTS_MAX; minute++) policy.next(minute * MINUTE_MS);
    expect(policy.next(10 * MINUTE_MS - 1)).toBeUndefined();
    expect(policy.next(10 * MINUTE_MS)).toBe(4000);
    expect(policy.next(10 * MINUTE_MS)).toBeUndefined();
  });
});
