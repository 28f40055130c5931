import { type Lsn } from '@zenith/base';
import { isStoredKey, type KeyRange, type StoredKey } from '../key-space/stored-key.ts';

/** What a layer file's name says. */
export interface LayerName {
  readonly keys: KeyRange;
  /** First LSN covered. An image layer has its images at this LSN. */
  readonly lsnStart: Lsn;
  /** End of the covered LSNs, exclusive. For an image layer one more than `lsnStart`. */
  readonly lsnEnd: Lsn;
  /** Counts the layer files this timeline has ever written; makes the name one that is written once. */
  readonly generation: number;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** The file name: key range, LSN range and generation, in hexadecimal. */
export function formatLayerName(name: LayerName): string {
  return `${name.keys.start}-${name.keys.end}_${hex(name.lsnStart, 16)}-${hex(name.lsnEnd, 16)}_${hex(name.generation, 8)}`;
}

/** Reads a file name; undefined when it is not a layer's. */
export function parseLayerName(text: string): LayerName | undefined {
  const match = /^([0-9a-f]{44})-([0-9a-f]{44})_([0-9a-f]{16})-([0-9a-f]{16})_([0-9a-f]{8})$/.exec(text);
  if (match === null) return undefined;
  const [, start, end, lsnStart, lsnEnd, generation] = match as unknown as readonly [
    string,
    StoredKey,
    StoredKey,
    string,
    string,
    string,
  ];
  const name = {
    keys: { start, end },
    lsnStart: Number.parseInt(lsnStart, 16) as Lsn,
    lsnEnd: Number.parseInt(lsnEnd, 16) as Lsn,
    generation: Number.parseInt(generation, 16),
  };
  const sound = isStoredKey(start) && start < end && Number.isSafeInteger(name.lsnEnd) && name.lsnStart < name.lsnEnd;
  return sound ? name : undefined;
}
