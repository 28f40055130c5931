import { expect, it } from 'vitest';
import {
  ADDRESS_LENGTH,
  COUNTER_NAMES,
  HEADER_LENGTH,
  HeaderOffset,
  PGDATA_LENGTH,
  PRESENCE_MAP_MAGIC,
  PRESENCE_MAP_VERSION,
  SLOT_LENGTH,
  SlotOffset,
  SlotState,
} from './layout.ts';
import { layoutInC } from './overlay.test-support.ts';

it('has every offset, length and constant where the C side has it', () => {
  const here = new Map<string, number>([
    ['magic', PRESENCE_MAP_MAGIC],
    ['version', PRESENCE_MAP_VERSION],
    ['headerLength', HEADER_LENGTH],
    ['slotLength', SLOT_LENGTH],
    ['counterCount', COUNTER_NAMES.length],
    ['addressLength', ADDRESS_LENGTH],
    ['pgdataLength', PGDATA_LENGTH],
    ...Object.entries(SlotState).map(([name, value]): [string, number] => [`state.${name}`, value]),
    ...Object.entries(HeaderOffset).map(([name, value]): [string, number] => [`header.${name}`, value]),
    ...Object.entries(SlotOffset).map(([name, value]): [string, number] => [`slot.${name}`, value]),
  ]);
  expect(Object.fromEntries(layoutInC())).toEqual(Object.fromEntries(here));
});
