import { CorruptionError, unreachable } from '@zenith/base';
import { INVALID_BLOCK_NUMBER, itemPointerBlock, itemPointerOffset } from '@zenith/pg-format';
import type { FieldMap, FieldValue, PagePart } from './decoded-page.ts';

/** How a fixed field is read and shown. */
type FieldType = 'u8' | 'u16' | 'u32' | 'i32' | 'i64' | 'u64' | 'f64' | 'hex16' | 'hex32' | 'block';

/** A field of a fixed layout: its name, where it begins, how it is read. */
export type FieldLayout = readonly [name: string, at: number, type: FieldType];

/** Names of the bits of a flag word. */
export type FlagNames = Readonly<Record<number, string>>;

/** A number in hexadecimal with as many digits as its type has. */
export function hexOf(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** A block number; the one that stands for none in words. */
export function blockOf(block: number): FieldValue {
  return block === INVALID_BLOCK_NUMBER ? 'none' : block;
}

/** The bits that are set: `0x0003 LEAF|ROOT`; bits without a name are only in the number. */
export function flagsOf(value: number, digits: number, names: FlagNames): string {
  const set = Object.entries(names).flatMap(([bit, name]) => ((value & Number(bit)) === 0 ? [] : [name]));
  return set.length === 0 ? hexOf(value, digits) : `${hexOf(value, digits)} ${set.join('|')}`;
}

/** The item pointer at `at`: `(7,3)`. */
export function tidOf(view: DataView, at: number): string {
  return `(${itemPointerBlock(view, at)},${itemPointerOffset(view, at)})`;
}

/** Bytes `[from, to)` in hexadecimal; empty when there are none. */
export function bytesOf(bytes: Uint8Array, from: number, to: number): string {
  return Array.from(bytes.subarray(from, to), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function readField(view: DataView, at: number, type: FieldType): FieldValue {
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'i32':
      return view.getInt32(at, true);
    case 'i64':
      return String(view.getBigInt64(at, true));
    case 'u64':
      return String(view.getBigUint64(at, true));
    case 'f64':
      return view.getFloat64(at, true);
    case 'hex16':
      return hexOf(view.getUint16(at, true), 4);
    case 'hex32':
      return hexOf(view.getUint32(at, true), 8);
    case 'block':
      return blockOf(view.getUint32(at, true));
    default:
      return unreachable(type);
  }
}

/** Reads the fields of a layout that begins at `base`. @throws RangeError when they leave the page */
export function readFields(view: DataView, base: number, layout: readonly FieldLayout[]): FieldMap {
  return Object.fromEntries(layout.map(([name, at, type]) => [name, readField(view, base + at, type)]));
}

/** A part whose fields `read` adds one by one: of a damaged one those that could be read, and why there are no more. */
export function part(name: string, read: (fields: FieldMap) => void): PagePart {
  const fields: FieldMap = {};
  try {
    read(fields);
  } catch (error) {
    if (!(error instanceof RangeError) && !(error instanceof CorruptionError)) throw error;
    fields['damaged'] = error.message;
  }
  return { name, fields };
}
