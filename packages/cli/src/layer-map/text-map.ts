import { formatLsn, type Lsn } from '@zenith/base';
import { describeKey, layOut, type LayerGrid, type ShownLayer } from './layout.ts';

/** Widest drawing beside its labels. Unit: characters. */
const WIDTH_MAX = 72;

/** Most rows that are drawn; with more bounds, neighbouring rows share one. */
const ROWS_MAX = 48;

/** The letter a layer is drawn with: upper case when its file is on the pageserver's disk. */
function letterOf({ kind, level, resident }: ShownLayer): string {
  const letter = kind === 'image' ? 'i' : level === 0 ? 'l' : 'd';
  return resident ? letter.toUpperCase() : letter;
}

/** Where bound `index` of `count` is drawn on a scale of `size`. */
function scale(index: number, count: number, size: number): number {
  return Math.round((index * size) / Math.max(1, count - 1));
}

function draw({ boxes, keys, lsns }: LayerGrid, width: number, height: number): string[][] {
  const cells = Array.from({ length: height }, () => Array.from({ length: width }, () => ' '));
  // Older and larger first, so that what is newer and thinner stays visible.
  const ordered = boxes.toSorted((a, b) => b.rowEnd - b.rowStart - (a.rowEnd - a.rowStart) || a.rowStart - b.rowStart);
  for (const box of ordered) {
    const left = Math.min(scale(box.columnStart, keys.length, width), width - 1);
    const right = Math.max(scale(box.columnEnd, keys.length, width), left + 1);
    const bottom = Math.min(scale(box.rowStart, lsns.length, height), height - 1);
    const top = Math.max(scale(box.rowEnd, lsns.length, height), bottom + 1);
    const letter = letterOf(box.layer);
    for (let y = bottom; y < top; y++) {
      const row = cells[height - 1 - y] as string[];
      for (let x = left; x < right; x++) row[x] = letter;
      if (right - left < 3) continue;
      row[left] = '[';
      row[right - 1] = ']';
    }
  }
  return cells;
}

/**
 * Draws a layer map as text: keys from left to right, LSNs from the bottom up, both by their order and not by their size.
 * @returns lines; none without layers
 */
export function drawTextMap(layers: readonly ShownLayer[]): string[] {
  const grid = layOut(layers);
  if (layers.length === 0) return [];
  const columns = grid.keys.length - 1;
  const rows = grid.lsns.length - 1;
  const width = Math.min(WIDTH_MAX, Math.max(columns * Math.max(3, Math.floor(WIDTH_MAX / columns)), 12));
  const height = Math.min(ROWS_MAX, rows);
  const labels = new Map<number, Lsn>();
  for (const [i, lsn] of grid.lsns.entries())
    if (i < rows) labels.set(Math.min(scale(i, grid.lsns.length, height), height - 1), lsn as Lsn);
  const labelWidth = Math.max(...[...labels.values()].map((lsn) => formatLsn(lsn).length));
  const lines = draw(grid, width, height).map((cells, i) => {
    const lsn = labels.get(height - 1 - i);
    return `${(lsn === undefined ? '' : formatLsn(lsn)).padStart(labelWidth)} |${cells.join('')}`.trimEnd();
  });
  return [
    ...lines,
    `${' '.repeat(labelWidth)} +${'-'.repeat(width)}`,
    `${' '.repeat(labelWidth)}  from ${describeKey(grid.keys[0] ?? '')} to ${describeKey(grid.keys.at(-1) ?? '')}`,
    `${' '.repeat(labelWidth)}  L: L0 delta, D: delta, I: image; small letters: the file is only in remote storage`,
  ];
}
