import { beforeEach, describe, expect, test } from 'vitest';
import { LogOutput } from './log-output.ts';

describe('LogOutput', () => {
  let written: string;
  /** How many bytes the disk has left. */
  let room: number;
  let output: LogOutput;
  beforeEach(() => {
    written = '';
    room = Number.POSITIVE_INFINITY;
    output = new LogOutput((bytes, offset) => {
      if (room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      const end = Math.min(bytes.length, offset + room);
      written += new TextDecoder().decode(bytes.subarray(offset, end));
      room -= end - offset;
      return end - offset;
    });
  });

  test('lines that find a full disk wait for the first that finds room, the rest of a torn one first', () => {
    output.write('one\n');
    room = 2;
    output.write('two\n');
    output.write('three\n');
    expect(written).toBe('one\ntw');
    room = 100;
    output.write('four\n');
    expect(written).toBe('one\ntwo\nthree\nfour\n');
  });

  test('more than can be kept is counted, and the log says so when it goes on', () => {
    room = 0;
    const line = `${'x'.repeat(99_999)}\n`;
    for (let n = 0; n < 20; n++) output.write(line);
    room = Number.POSITIVE_INFINITY;
    output.write('again\n');
    const lines = written.trimEnd().split('\n');
    expect(lines.slice(-2)).toEqual(['{"level":40,"lines":9,"msg":"lines of this log are lost"}', 'again']);
    expect(lines).toHaveLength(11 + 2);
  });
});
