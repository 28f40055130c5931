import { PAGE_LENGTH, RESPONSE_HEADER_LENGTH } from '@zenith/wire';
import { describe, expect, it } from 'vitest';
import { ResponseBufferPool } from './response-buffer.ts';

const LONGEST_ANSWER = RESPONSE_HEADER_LENGTH + 128 * PAGE_LENGTH;

describe('the pool of response buffers', () => {
  it.each([RESPONSE_HEADER_LENGTH + PAGE_LENGTH, LONGEST_ANSWER])(
    'lends a buffer for %i bytes again once it is given back, never twice at a time',
    (length) => {
      const pool = new ResponseBufferPool();
      const first = pool.take(length);
      const second = pool.take(length);
      expect(first.length).toBeGreaterThanOrEqual(length);
      expect(second === first).toBe(false);
      pool.give(first);
      expect(pool.take(length) === first).toBe(true);
      expect(pool.take(length) === first).toBe(false);
    },
  );

  it('does not lend a short buffer for a long answer', () => {
    const pool = new ResponseBufferPool();
    pool.give(pool.take(1));
    expect(pool.take(LONGEST_ANSWER).length).toBeGreaterThanOrEqual(LONGEST_ANSWER);
  });

  it('keeps at most eight long buffers, and none longer than an answer can be', () => {
    const pool = new ResponseBufferPool();
    const taken = Array.from({ length: 10 }, () => pool.take(LONGEST_ANSWER));
    for (const buffer of taken) pool.give(buffer);
    const again = Array.from({ length: 10 }, () => pool.take(LONGEST_ANSWER));
    expect(again.filter((buffer) => taken.includes(buffer)).length).toBe(8);
    const huge = pool.take(2 * LONGEST_ANSWER);
    pool.give(huge);
    expect(pool.take(2 * LONGEST_ANSWER) === huge).toBe(false);
  });
});
