import type { Lsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ObjectTable } from '../key-space/object-table.ts';
import { STORED_KEY_MAX, STORED_KEY_MIN } from '../key-space/stored-key.ts';
import { LayerKind } from './layer-format.ts';
import type { LayerFile, Segment } from './layer-file.ts';
import { Tier } from './layer-map.ts';

test('a layer that another tier has opened is found in this one as well', () => {
  const objects = new ObjectTable();
  const object = objects.intern(ObjectKind.relation, 1663, 5, 7, 0);
  const name = { keys: { start: STORED_KEY_MIN, end: STORED_KEY_MAX }, lsnStart: 8 as Lsn, lsnEnd: 16 as Lsn };
  const layer = {
    name,
    identity: { kind: LayerKind.delta },
    isOpen: false,
    segments: [] as Segment[],
    openHere(): boolean {
      this.isOpen = true;
      this.segments = [{ layer: file, object, firstEntry: 0, entryCount: 1, firstBlock: 0, lastBlock: 9 }];
      return true;
    },
  };
  const file = layer as unknown as LayerFile;
  // As after a change of the layers while somebody still reads by the map from before it.
  const [before, after] = [new Tier(1, [file]), new Tier(1, [file])];
  expect(after.segment(object, 3)).toBeUndefined();
  expect(before.openAt(object, 3, objects)).toBeUndefined();
  expect(before.segment(object, 3)).toMatchObject({ object });
  expect(after.isPartlyClosed).toBe(true);
  expect(after.openAt(object, 3, objects)).toBeUndefined();
  expect(after.segment(object, 3)).toMatchObject({ object });
  expect([before.isPartlyClosed, after.isPartlyClosed]).toEqual([false, false]);
});
