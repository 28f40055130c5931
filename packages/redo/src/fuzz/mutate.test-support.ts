import type { BlockSpec, RecordSpec } from '@zenith/pg-format';
import type { Random } from './random.test-support.ts';

/** Values that lengths, counts and offsets go wrong at. */
const INTERESTING = [
  0, 1, 2, 3, 7, 8, 23, 24, 127, 128, 255, 256, 2047, 2048, 0x1fff, 8191, 8192, 0x7fff, 0x8000, 0xffff,
];
const CHANGES_MAX = 5;
const RESIZE_MAX = 40;

/** Where to change something: anywhere, or near the start or the end, where lengths, line pointers and special space are. */
function place(random: Random, from: number, to: number): number {
  const length = to - from;
  switch (random.below(3)) {
    case 0:
      return from + random.below(length);
    case 1:
      return from + random.below(Math.min(64, length));
    default:
      return to - 1 - random.below(Math.min(24, length));
  }
}

/** Changes some of `bytes[from, to)` in place: bits, bytes, words, a stretch copied over another. */
export function mutateBytes(random: Random, bytes: Uint8Array, from = 0, to = bytes.length): void {
  if (to <= from) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let n = 1 + random.below(CHANGES_MAX); n > 0; n--) {
    const at = place(random, from, to);
    const left = to - at;
    switch (random.below(6)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
        break;
      case 1:
        bytes[at] = random.below(256);
        break;
      case 2:
        if (left >= 2) view.setUint16(at, random.pick(INTERESTING), true);
        break;
      case 3:
        if (left >= 2) view.setUint16(at, view.getUint16(at, true) + random.below(17) - 8, true);
        break;
      case 4:
        if (left >= 4) view.setUint32(at, random.chance(0.5) ? random.pick(INTERESTING) : random.next(), true);
        break;
      default: {
        const source = place(random, from, to);
        bytes.copyWithin(at, source, source + random.below(Math.min(left, to - source, 32) + 1));
      }
    }
  }
}

/** A changed copy of some data: bytes, or the length. */
function mutateData(random: Random, data: Uint8Array): Uint8Array {
  const change = random.below(4);
  let copy: Uint8Array;
  if (change === 0) copy = data.slice(0, random.below(data.length + 1));
  else if (change === 1)
    copy = Uint8Array.from([...data, ...Array.from({ length: 1 + random.below(RESIZE_MAX) }, () => random.below(256))]);
  else copy = data.slice();
  if (change > 0 && copy.length > 0) mutateBytes(random, copy);
  return copy;
}

/** A record with other data, whose headers agree with them: what redo's own checks have to stop. */
export function mutateSpec(random: Random, spec: RecordSpec): RecordSpec {
  const blocks = spec.blocks?.map((block): BlockSpec => {
    if (!random.chance(0.6)) return block;
    const changed: BlockSpec = { ...block, block: random.chance(0.1) ? random.next() : block.block };
    const data = mutateData(random, block.data ?? new Uint8Array(0));
    return data.length > 0 ? { ...changed, data } : withoutData(changed);
  });
  return {
    ...spec,
    info: random.chance(0.05) ? random.below(256) : spec.info,
    ...(random.chance(0.1) ? { xid: random.next() } : {}),
    ...(spec.mainData !== undefined && random.chance(0.6) ? { mainData: mutateData(random, spec.mainData) } : {}),
    ...(blocks === undefined ? {} : { blocks: random.chance(0.05) ? blocks.slice(1) : blocks }),
  };
}

function withoutData(block: BlockSpec): BlockSpec {
  const { data: _left, ...others } = block;
  return others;
}
