import { formatLsn, type Lsn } from '@zenith/base';
import { formatBytes } from '../output/table.ts';
import { describeKey, layOut, type PlacedBox, type ShownLayer } from './layout.ts';

/** Size of the drawing without its margins. Unit: pixels. */
const WIDTH = 960;
const ROW_HEIGHT_MIN = 6;
const ROW_HEIGHT_MAX = 28;
const HEIGHT = 560;

/** Room for the labels of LSNs, and for heading and legend. Unit: pixels. */
const LEFT = 130;
const TOP = 64;
const BOTTOM = 40;
const RIGHT = 20;

/** Least distance of two labels. Unit: pixels. */
const LABEL_DISTANCE = 14;

const COLOURS = { l0: '#d9822b', delta: '#2b7bd9', image: '#2a9d5c' } as const;

function colourOf({ kind, level }: ShownLayer): string {
  return kind === 'image' ? COLOURS.image : level === 0 ? COLOURS.l0 : COLOURS.delta;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
}

function titleOf(layer: ShownLayer): string {
  return [
    `${layer.kind === 'image' ? 'image' : layer.level === 0 ? 'L0 delta' : 'delta'} layer, ${formatBytes(layer.fileBytes)}`,
    `from ${describeKey(layer.keyStart)} to ${describeKey(layer.keyEnd)}`,
    `LSN ${formatLsn(layer.lsnStart)} to ${formatLsn(layer.lsnEnd)}`,
    `${layer.resident ? 'on disk' : 'not on disk'}, ${layer.remote ? 'in remote storage' : 'not in remote storage'}`,
    layer.name,
  ].join('\n');
}

/**
 * Draws a layer map as an SVG document: keys from left to right, LSNs from the bottom up, both by their order and not by their size. Each layer says what it is when it is pointed at.
 * @param heading of the drawing
 */
export function drawSvgMap(heading: string, layers: readonly ShownLayer[]): string {
  const { boxes, keys, lsns } = layOut(layers);
  const rows = Math.max(1, lsns.length - 1);
  const columns = Math.max(1, keys.length - 1);
  const rowHeight = Math.min(ROW_HEIGHT_MAX, Math.max(ROW_HEIGHT_MIN, HEIGHT / rows));
  const height = rows * rowHeight;
  const x = (column: number): number => round(LEFT + (column * WIDTH) / columns);
  const y = (row: number): number => round(TOP + height - row * rowHeight);
  const box = ({ layer, columnStart, columnEnd, rowStart, rowEnd }: PlacedBox): string =>
    `<rect x="${x(columnStart) + 1}" y="${y(rowEnd) + 0.5}" width="${round(Math.max(1, x(columnEnd) - x(columnStart) - 2))}" height="${round(Math.max(1, y(rowStart) - y(rowEnd) - 1))}" rx="2" fill="${colourOf(layer)}" fill-opacity="${layer.resident ? 0.85 : 0.15}" stroke="${colourOf(layer)}"${layer.resident ? '' : ' stroke-dasharray="3 2"'}><title>${escape(titleOf(layer))}</title></rect>`;
  const labels: string[] = [];
  let last = Number.POSITIVE_INFINITY;
  for (const [i, lsn] of lsns.entries()) {
    if (last - y(i) < LABEL_DISTANCE) continue;
    last = y(i);
    labels.push(`<text x="${LEFT - 8}" y="${last + 4}" text-anchor="end">${formatLsn(lsn as Lsn)}</text>`);
  }
  const legend = [
    ['L0 delta', COLOURS.l0],
    ['delta', COLOURS.delta],
    ['image', COLOURS.image],
  ].map(
    ([name, colour], i) =>
      `<rect x="${LEFT + i * 110}" y="38" width="12" height="12" fill="${colour}"/><text x="${LEFT + 18 + i * 110}" y="48">${name}</text>`,
  );
  const total = { width: LEFT + WIDTH + RIGHT, height: round(TOP + height + BOTTOM) };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" width="${total.width}" height="${total.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="16">${escape(heading)}</text>`,
    ...legend,
    `<text x="${LEFT + 330}" y="48">dashed: only in remote storage</text>`,
    `<rect x="${LEFT}" y="${TOP}" width="${WIDTH}" height="${height}" fill="none" stroke="#999999"/>`,
    ...boxes.map(box),
    ...labels,
    ...(keys.length === 0
      ? []
      : [
          `<text x="${LEFT}" y="${y(0) + 22}">${escape(describeKey(keys[0] ?? ''))}</text>`,
          `<text x="${LEFT + WIDTH}" y="${y(0) + 22}" text-anchor="end">${escape(describeKey(keys.at(-1) ?? ''))}</text>`,
        ]),
    '</svg>',
    '',
  ].join('\n');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
