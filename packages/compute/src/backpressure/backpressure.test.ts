import { lsn, type Lsn } from '@zenith/base';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CommitThrottle } from './commit-throttle.ts';
import { LagHistory } from './lag-history.ts';
import { commitDelayMs, NO_LAG, type BackpressureLimits } from './limits.ts';

const limits: BackpressureLimits = {
  ingestLagBytesMax: 1000,
  ingestLagSecondsMax: 10,
  archiveLagBytesMax: 4000,
  archiveLagSecondsMax: 0,
  delayMsMax: 800,
};

describe('the delay of commits', () => {
  it('is nothing up to the limits, grows smoothly beyond any of them, and has an end', () => {
    expect(commitDelayMs(limits, NO_LAG, NO_LAG)).toBe(0);
    expect(commitDelayMs(limits, { bytes: 1000, seconds: 10 }, { bytes: 4000, seconds: 1e6 })).toBe(0);
    expect(commitDelayMs(limits, { bytes: 1500, seconds: 0 }, NO_LAG)).toBe(200);
    expect(commitDelayMs(limits, { bytes: 0, seconds: 15 }, NO_LAG)).toBe(200);
    expect(commitDelayMs(limits, NO_LAG, { bytes: 6000, seconds: 0 })).toBe(200);
    expect(commitDelayMs(limits, { bytes: 1e9, seconds: 1e9 }, NO_LAG)).toBe(800);
    let before = 0;
    for (let bytes = 0; bytes <= 3000; bytes += 10) {
      const delay = commitDelayMs(limits, { bytes, seconds: 0 }, NO_LAG);
      expect(delay - before).toBeGreaterThanOrEqual(0);
      expect(delay - before).toBeLessThan(20); // no step
      before = delay;
    }
  });

  it('knows how old the WAL is that lags', () => {
    const history = new LagHistory();
    expect(history.lag(0, lsn(0))).toEqual(NO_LAG);
    history.note(1000, lsn(100));
    history.note(2000, lsn(200));
    history.note(3000, lsn(200));
    history.note(4000, lsn(300));
    expect(history.lag(5000, lsn(300))).toEqual(NO_LAG);
    expect(history.lag(5000, lsn(250))).toEqual({ bytes: 50, seconds: 1 });
    expect(history.lag(5000, lsn(150))).toEqual({ bytes: 150, seconds: 3 });
    expect(history.lag(5000, lsn(100))).toEqual({ bytes: 200, seconds: 3 });
  });
});

describe('a throttle', () => {
  afterEach(() => void vi.useRealTimers());

  function throttle(): { throttle: CommitThrottle; released: Lsn[] } {
    vi.useFakeTimers();
    const released: Lsn[] = [];
    return { throttle: new CommitThrottle((one) => released.push(one), Date.now), released };
  }

  it('lets commit points pass at once, or holds each back for as long as it is told, in order', () => {
    const { throttle: held, released } = throttle();
    held.pass(lsn(1));
    expect(released).toEqual([1]);
    held.delayMs = 100;
    held.pass(lsn(2));
    vi.advanceTimersByTime(50);
    held.pass(lsn(3));
    held.delayMs = 0;
    held.pass(lsn(4)); // not before the ones that wait
    vi.advanceTimersByTime(49);
    expect(released).toEqual([1]);
    vi.advanceTimersByTime(1);
    expect(released).toEqual([1, 2]);
    vi.advanceTimersByTime(60);
    expect(released.at(-1)).toBe(4);
    held.pass(lsn(5));
    expect(released.at(-1)).toBe(5);
    expect(held.heldCount).toBe(3);
  });

  it('keeps few that come close together, and drops them when it is closed', () => {
    const { throttle: held, released } = throttle();
    held.delayMs = 1000;
    for (let i = 1; i <= 1000; i++) held.pass(lsn(i));
    vi.advanceTimersByTime(1000);
    expect(released).toEqual([1000]);
    held.pass(lsn(2000));
    held.close();
    vi.advanceTimersByTime(5000);
    expect(released).toEqual([1000]);
  });
});
