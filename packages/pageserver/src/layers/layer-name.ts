import { type Lsn } from '@zenith/base';
import type { KeyRange } from '../key-space/stored-key.ts';

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

const NAME = /^[0-9a-f]{44}-[0-9a-f]{44}_[0-9a-f]{16}-[0-9a-f]{16}_[0-9a-f]{8}$/;

/** Reads a file name; undefined when it is not a layer's. A start does so for each layer: what it looks like is checked, its parts are where they must be. */
export function parseLayerName(text: string): LayerName | undefined {
  if (!NAME.test(text)) return undefined;
  const [start, end] = [text.slice(0, 44), text.slice(45, 89)] as const;
  const name = {
    keys: { start, end },
    lsnStart: Number.parseInt(text.slice(90, 106), 16) as Lsn,
    lsnEnd: Number.parseInt(text.slice(107, 123), 16) as Lsn,
    generation: Number.parseInt(text.slice(124), 16),
  };
  const sound = start < end && Number.isSafeInteger(name.lsnEnd) && name.lsnStart < name.lsnEnd;
  return sound ? name : undefined;
}
