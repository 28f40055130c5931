import type { TimelineLayers } from '@zenith/control-plane';

/** A layer as `zenith layers` shows it. */
export type ShownLayer = TimelineLayers['layers'][number];

/** A layer in the grid of a map: columns are key ranges, rows are LSN ranges, both half-open. */
export interface PlacedBox {
  readonly layer: ShownLayer;
  readonly columnStart: number;
  readonly columnEnd: number;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** Keys × LSNs, drawn by their order: between two neighbouring bounds of any layers lies one column, or row, however far apart they are. */
export interface LayerGrid {
  readonly boxes: readonly PlacedBox[];
  /** Where columns begin, and the last ends. Empty without layers. */
  readonly keys: readonly string[];
  /** Where rows begin, and the last ends; ascending. */
  readonly lsns: readonly number[];
}

/** Places layers in a grid. */
export function layOut(layers: readonly ShownLayer[]): LayerGrid {
  const keys = [...new Set(layers.flatMap(({ keyStart, keyEnd }) => [keyStart, keyEnd]))].sort();
  const lsns = [...new Set(layers.flatMap(({ lsnStart, lsnEnd }) => [lsnStart as number, lsnEnd as number]))].sort(
    (a, b) => a - b,
  );
  const column = new Map(keys.map((key, i) => [key, i]));
  const row = new Map(lsns.map((lsn, i) => [lsn, i]));
  const boxes = layers.map((layer) => ({
    layer,
    columnStart: column.get(layer.keyStart) ?? 0,
    columnEnd: column.get(layer.keyEnd) ?? 0,
    rowStart: row.get(layer.lsnStart) ?? 0,
    rowEnd: row.get(layer.lsnEnd) ?? 0,
  }));
  return { boxes, keys, lsns };
}

/** Kinds of objects in the order of their keys; the first byte of a key. See docs/formats/layer-file.md. */
const KIND_NAMES = [
  'relation',
  'relation size',
  'SLRU',
  'SLRU size',
  'relation map',
  'database',
  'tablespace',
  'two-phase state',
  'counters',
  'control file',
  'replication origin',
  'commit times',
] as const;

/** A key for a person: `relation 1663/5/16384 block 7`. */
export function describeKey(key: string): string {
  const part = (from: number, to: number): number => Number.parseInt(key.slice(from, to), 16);
  const kind = part(0, 2);
  const name = KIND_NAMES[kind];
  if (name === undefined) return 'the end of all keys';
  const [spc, db, rel, fork, block] = [part(2, 10), part(10, 18), part(18, 26), part(26, 28), part(28, 36)];
  const hasBlocks = kind === 0 || kind === 2;
  return `${name} ${spc}/${db}/${rel}${fork === 0 ? '' : ` fork ${fork}`}${hasBlocks ? ` block ${block}` : ''}`;
}
