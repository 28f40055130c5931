import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { zstdDecompress } from './decompress.ts';

/** What the frames below hold: some bytes of a linear congruential generator, in places a pattern. */
function content(seed: number, length: number, values: number, period: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, (_, i) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return period > 0 && i % period < period / 2 ? 65 + (i % 7) : (state >>> 24) % values;
  });
}

// As `zstd --no-check` (-3, the last -19) of 1.5.4 wrote them, the library that PostgreSQL calls: zeroes (a run), compressed literals in four streams, sequences by predefined tables, all three tables in the frame.
const FRAMES: readonly (readonly [name: string, frame: string, content: Uint8Array])[] = [
  ['zeroes', 'KLUv/WAAH00AABAAAAEA+98DLA==', new Uint8Array(8192)],
  [
    'literals of few values',
    'KLUv/WAsAO0EADZSJIohESEREhAhACIAIQD0qIVtgTnl00i4L9HU2STCtoLNZwKT2gP6gzIEhWbInjENH5Cc2U3BWa554ecqAXbRIkmZ4Lb/oJ2jGauTItXukAsFRNuPF+GgOV3wLGy38Azyl/ggYhi7qaaoyZXt5RcQWFO0UHKH92bkGMlZpsZti4RJtF7ORqu9YcVk0ED9EbiwgUMCAJYqb50IjBQ=',
    content(4, 300, 12, 0),
  ],
  [
    'repetitions',
    'KLUv/SDInQIAYocODMBnOEREWlX1SJlkCstPqwj9vlpIaWvRmKJNL8CKVr7Al2RdcLrUDatjtkRccS9uyTsJgFEQgxAAIwoAoHhQPCgeFA+KB8WD4kFxnBNEMJk=',
    content(5, 200, 5, 20),
  ],
  [
    'sequences by tables of their own',
    'KLUv/WC5AhUFAPbgIgrAZzhEaPn/TUkyIQAdAB4Al2jVNt4Xqb1LbQ/+HdbrqVclam3HqivZV5XqVoUMMQEEm6xaK6tesGuH98+3Slzto15Nuqvl76D3Ctv13AUX7H7oVpuuVdF1G2vVZKtVqbfB2lXY2qddLWqrjr11+l7Ubo1WW+S2Lt8OWtWG9nZe1aKterS7SLe6vAMwqBAeEfwB8JUDIML9/wJT7wISBA==',
    content(68, 953, 2, 20),
  ],
];

const raw = (bytes: readonly number[], type = 0, declared = bytes.length): Uint8Array =>
  Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, declared, 1 | (type << 1) | (bytes.length << 3), 0, 0, ...bytes);

describe('zstdDecompress', () => {
  test.each(FRAMES)('gives back %s', (_name, frame, expected) => {
    const bytes = Buffer.from(frame, 'base64');
    const from = Buffer.concat([Buffer.alloc(7, 1), bytes, Buffer.alloc(3, 1)]);
    const to = new Uint8Array(expected.length + 5).fill(0xaa);
    expect(zstdDecompress(from, 7, bytes.length, to, expected.length)).toBe(true);
    expect(Buffer.compare(to.subarray(0, expected.length), expected)).toBe(0);
    expect(to.subarray(expected.length)).toEqual(new Uint8Array(5).fill(0xaa));
    expect(zstdDecompress(from, 7, bytes.length, to, expected.length - 1)).toBe(false);
    expect(zstdDecompress(from, 7, bytes.length - 1, to, expected.length)).toBe(false);
    expect(zstdDecompress(from, 7, bytes.length + 1, to, expected.length)).toBe(false);
  });

  test('gives back a block that is not compressed, and refuses what a frame of PostgreSQL never has', () => {
    const to = new Uint8Array(100);
    const decompress = (frame: Uint8Array, rawLength: number): boolean =>
      zstdDecompress(frame, 0, frame.length, to, rawLength);
    expect(decompress(raw([1, 2, 3]), 3)).toBe(true);
    expect([...to.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(decompress(raw([1, 2, 3], 0, 4), 4)).toBe(false); // less than it announces
    expect(decompress(raw([1, 2, 3], 3), 3)).toBe(false); // a reserved type of block
    const dictionary = raw([1, 2, 3]);
    dictionary[4] = 0x21;
    expect(decompress(dictionary, 3)).toBe(false);
    const windowed = raw([1, 2, 3]);
    windowed[4] = 0;
    windowed[5] = 0xf8; // a window of 2 TiB
    expect(decompress(windowed, 3)).toBe(false);
    const notLast = raw([1, 2, 3]);
    notLast[6] = (notLast[6] as number) & ~1;
    expect(decompress(notLast, 3)).toBe(false);
    // 100 bytes can not come of 100 sequences: each has three bytes at least
    expect(decompress(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 100, 0x25, 0, 0, 0, 100, 0, 1), 100)).toBe(false);
  });

  test('never writes outside of its output, nor takes long, when a frame is damaged', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FRAMES),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        ([, frame, expected], changes) => {
          const bytes = Buffer.from(frame, 'base64');
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const to = new Uint8Array(expected.length + 8).fill(0xaa);
          zstdDecompress(bytes, 0, bytes.length, to, expected.length);
          expect(to.subarray(expected.length)).toEqual(new Uint8Array(8).fill(0xaa));
        },
      ),
      { numRuns: 300 },
    );
  });
});
