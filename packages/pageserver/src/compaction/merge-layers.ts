import { type Lsn } from '@zenith/base';
import { NO_OBJECT, type ObjectTable } from '../key-space/object-table.ts';
import type { ValueKind } from '../key-space/value.ts';
import { LayerCursor, type VisitValue } from '../layers/layer-cursor.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import type { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { SlicedWork } from '../timeline/slices.ts';

/** Takes the merged values; the bytes are borrowed during the call. */
export interface MergedValues {
  add(
    object: LayerCursor['object'],
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
  ): void;
}

function compareKeys(objects: ObjectTable, a: LayerCursor, b: LayerCursor): number {
  return objects.compare(a.object, b.object) || a.block - b.block;
}

/**
 * Merges layers by key. The layers come oldest first and cover disjoint LSNs, so that a key's values follow each other layer by layer. Every value goes through; nothing of history is
 * dropped. Can be interrupted after each chunk.
 * @param layers oldest first, at most a few dozen: the smallest key is found by looking at all
 * @param files where the values end up: asked before each key whether a file is to be ended
 * @throws CorruptionError naming the layer
 */
export function* mergeLayers(
  objects: ObjectTable,
  layers: readonly LayerFile[],
  values: MergedValues,
  files: Pick<LayerSetWriter, 'endIfFull'>,
): SlicedWork<void> {
  const cursors = layers.map((layer) => new LayerCursor(layer)).filter((cursor) => cursor.next());
  let [object, block] = [NO_OBJECT, -1];
  const pass: VisitValue = (lsn, kind, bytes, view, offset, length) =>
    values.add(object, block, lsn, kind as ValueKind, bytes, view, offset, length);
  while (cursors.length > 0) {
    let smallest = cursors[0] as LayerCursor;
    for (const cursor of cursors) {
      if (compareKeys(objects, cursor, smallest) < 0) smallest = cursor;
    }
    ({ object, block } = smallest);
    const ended = files.endIfFull(object, block);
    if (ended !== undefined) yield ended;
    for (let i = 0; i < cursors.length;) {
      const cursor = cursors[i] as LayerCursor;
      let isAtEnd = false;
      while (!isAtEnd && cursor.object === object && cursor.block === block) {
        cursor.forEachValue(pass);
        yield undefined;
        isAtEnd = !cursor.next();
      }
      if (isAtEnd) cursors.splice(i, 1);
      else i++;
    }
  }
}
