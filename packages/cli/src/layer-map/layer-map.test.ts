import type { Lsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { describeKey, type ShownLayer } from './layout.ts';
import { drawSvgMap } from './svg-map.ts';
import { drawTextMap } from './text-map.ts';

/** The key of a relation's block. */
function key(rel: number, block: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return `00${hex(1663, 8)}${hex(5, 8)}${hex(rel, 8)}00${hex(block, 8)}00000000`;
}

function layer(
  kind: 'delta' | 'image',
  level: 0 | 1,
  keys: readonly [string, string],
  lsns: readonly [number, number],
  resident = true,
): ShownLayer {
  return {
    name: `${keys[0]}-${keys[1]}<&>`,
    kind,
    level,
    keyStart: keys[0],
    keyEnd: keys[1],
    lsnStart: lsns[0] as Lsn,
    lsnEnd: lsns[1] as Lsn,
    fileBytes: 16384,
    resident,
    remote: true,
  };
}

const [A, B, C] = [key(1, 0), key(1, 100), key(2, 7)];
const LAYERS = [
  layer('delta', 0, [A, C], [0x300, 0x400]),
  layer('image', 1, [A, B], [0x2ff, 0x300], false),
  layer('delta', 1, [A, B], [0x100, 0x300]),
  layer('delta', 1, [B, C], [0x100, 0x300], false),
];

test('a map has newer LSNs above older ones, keys from left to right, and small letters for what is only in remote storage', () => {
  const half = (letter: string): string => `[${letter.repeat(34)}]`;
  expect(drawTextMap(LAYERS)).toEqual([
    `0/300 |[${'L'.repeat(70)}]`,
    `0/2FF |${half('i')}${half('d')}`,
    `0/100 |${half('D')}${half('d')}`,
    `      +${'-'.repeat(72)}`,
    '       from relation 1663/5/1 block 0 to relation 1663/5/2 block 7',
    '       L: L0 delta, D: delta, I: image; small letters: the file is only in remote storage',
  ]);
});

test('a map of no layers is empty, and one of thousands is no larger than a screen', () => {
  expect(drawTextMap([])).toEqual([]);
  const many = Array.from({ length: 3000 }, (_, i) =>
    layer('delta', 1, [key(i % 100, 0), key((i % 100) + 1, 0)], [(i - (i % 100)) * 8, (i - (i % 100) + 100) * 8]),
  );
  const lines = drawTextMap(many);
  expect(lines.length).toBeLessThanOrEqual(48 + 3);
  expect(Math.max(...lines.slice(0, -2).map((line) => line.length))).toBeLessThanOrEqual(90);
});

test('a drawing has a box for every layer that says what it is, and is well-formed', () => {
  const svg = drawSvgMap('Branch "a<b"', LAYERS);
  expect(svg.match(/<title>/g)).toHaveLength(LAYERS.length);
  expect(svg.match(/stroke-dasharray/g)).toHaveLength(2);
  expect(svg).toContain('Branch &quot;a&lt;b&quot;');
  expect(svg).toContain('&lt;&amp;&gt;</title>');
  expect(svg).toContain('not on disk, in remote storage');
  const open = svg.match(/<(?:svg|rect|text|title)(?:\s[^>]*[^/])?>/g) ?? [];
  const closed = svg.match(/<\/(?:svg|rect|text|title)>/g) ?? [];
  expect(closed.length).toBe(open.length);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(drawSvgMap('none', [])).not.toMatch(/NaN|undefined|Infinity/);
});

test('a key is described by what it names', () => {
  expect(describeKey(key(16384, 7))).toBe('relation 1663/5/16384 block 7');
  expect(describeKey(`01${key(16384, 0).slice(2, 26)}02${'0'.repeat(16)}`)).toBe('relation size 1663/5/16384 fork 2');
  expect(describeKey('f'.repeat(44))).toBe('the end of all keys');
});
