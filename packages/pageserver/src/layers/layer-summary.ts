import { CorruptionError, crc32c, readLsn } from '@zenith/base';
import type { ObjectKind } from '../key-space/object.ts';
import {
  ENTRIES_PER_BLOCK,
  FOOTER_MAGIC,
  INDEX_BLOCK_BYTES,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  SUMMARY_FENCE_BYTES,
  SUMMARY_OBJECT_BYTES,
} from './layer-format.ts';

/** Most index blocks of a layer: its block numbers share a number with the layer's in the block cache. */
export const INDEX_BLOCKS_MAX = 1 << 20;

/** The last bytes of a layer file: enough of them for its summary and its footer, or not. */
export interface LayerTail {
  readonly bytes: Uint8Array;
  /** Names where they are from, in errors. */
  readonly source: string;
}

/** An object in a layer's summary. */
export interface SummaryObject {
  readonly kind: ObjectKind;
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  readonly firstEntry: number;
  readonly entryCount: number;
  readonly firstBlock: number;
  readonly lastBlock: number;
}

/** What a layer keeps in memory while it is open: which objects it has, and where in its index what begins. */
export interface LayerSummary {
  /** In key order. */
  readonly objects: readonly SummaryObject[];
  readonly entryCount: number;
  readonly valueCount: number;
  /** Of all chunks, unpacked. Unit: bytes. */
  readonly dataBytes: number;
  readonly indexOffset: number;
  /** Where the summary begins in the file. Unit: bytes. */
  readonly summaryOffset: number;
  /** Block and LSN of the first entry of each index block. */
  readonly fenceBlocks: Uint32Array;
  readonly fenceLsns: Float64Array;
}

/** How many of its last bytes a layer's summary needs, from its footer. @throws CorruptionError */
export function tailBytesNeeded(tail: LayerTail, fileBytes: number): number {
  return fileBytes - readFooter(tail, fileBytes).summaryOffset;
}

/**
 * Reads the summary of a layer from its last bytes.
 * @param tail at least {@link tailBytesNeeded}
 * @throws CorruptionError with the position in the file
 */
export function readSummary(tail: LayerTail, fileBytes: number): LayerSummary {
  const { source } = tail;
  const footer = readFooter(tail, fileBytes);
  const { summaryOffset, objectCount, indexBlockCount } = footer;
  const start = tail.bytes.length - (fileBytes - summaryOffset);
  const length = fileBytes - LAYER_FOOTER_BYTES - summaryOffset;
  if (start < 0) throw new CorruptionError('the end of the layer does not hold its summary', { source });
  const view = new DataView(tail.bytes.buffer, tail.bytes.byteOffset + start, length);
  if (crc32c(tail.bytes, start, start + length) !== footer.summaryCrc)
    throw new CorruptionError('the checksum of the summary is wrong', { source, offset: summaryOffset });
  const fenceBlocks = new Uint32Array(indexBlockCount);
  const fenceLsns = new Float64Array(indexBlockCount);
  const fences = objectCount * SUMMARY_OBJECT_BYTES;
  for (let i = 0; i < indexBlockCount; i++) {
    fenceBlocks[i] = view.getUint32(fences + i * SUMMARY_FENCE_BYTES, true);
    fenceLsns[i] = readLsn(view, fences + i * SUMMARY_FENCE_BYTES + 8);
  }
  const objects: SummaryObject[] = [];
  for (let i = 0; i < objectCount; i++) objects.push(readObject(view, i * SUMMARY_OBJECT_BYTES));
  const { entryCount, valueCount, dataBytes, indexOffset } = footer;
  return { objects, entryCount, valueCount, dataBytes, indexOffset, summaryOffset, fenceBlocks, fenceLsns };
}

interface Footer {
  readonly objectCount: number;
  readonly entryCount: number;
  readonly indexBlockCount: number;
  readonly valueCount: number;
  readonly dataBytes: number;
  readonly indexOffset: number;
  readonly summaryOffset: number;
  readonly summaryCrc: number;
}

function readFooter({ bytes, source }: LayerTail, fileBytes: number): Footer {
  const offset = fileBytes - LAYER_FOOTER_BYTES;
  const corrupt = (message: string): CorruptionError => new CorruptionError(message, { source, offset });
  const at = bytes.length - LAYER_FOOTER_BYTES;
  if (at < 0) throw corrupt('the end of the layer does not hold its footer');
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, LAYER_FOOTER_BYTES);
  if (view.getUint32(0, true) !== FOOTER_MAGIC) throw corrupt('there is no footer');
  if (crc32c(bytes, at, bytes.length - 4) !== view.getUint32(LAYER_FOOTER_BYTES - 4, true))
    throw corrupt('the checksum of the footer is wrong');
  const indexBegins = readLsn(view, 24);
  const footer: Footer = {
    objectCount: view.getUint32(4, true),
    entryCount: view.getUint32(8, true),
    indexBlockCount: view.getUint32(12, true),
    valueCount: readLsn(view, 16),
    // Format 1 did not say: nothing was packed.
    dataBytes: readLsn(view, 44) || indexBegins - LAYER_HEADER_BYTES,
    indexOffset: indexBegins,
    summaryOffset: readLsn(view, 32),
    summaryCrc: view.getUint32(40, true),
  };
  const { objectCount, entryCount, indexBlockCount, indexOffset, summaryOffset } = footer;
  if (
    indexOffset < LAYER_HEADER_BYTES ||
    indexBlockCount !== Math.ceil(entryCount / ENTRIES_PER_BLOCK) ||
    indexBlockCount >= INDEX_BLOCKS_MAX ||
    summaryOffset !== indexOffset + indexBlockCount * INDEX_BLOCK_BYTES ||
    summaryOffset + objectCount * SUMMARY_OBJECT_BYTES + indexBlockCount * SUMMARY_FENCE_BYTES !== offset
  )
    throw corrupt('the counts in the footer do not add up');
  return footer;
}

function readObject(view: DataView, at: number): SummaryObject {
  return {
    kind: view.getUint8(at) as ObjectKind,
    fork: view.getUint8(at + 1),
    spc: view.getUint32(at + 4, true),
    db: view.getUint32(at + 8, true),
    rel: view.getUint32(at + 12, true),
    firstEntry: view.getUint32(at + 16, true),
    entryCount: view.getUint32(at + 20, true),
    firstBlock: view.getUint32(at + 24, true),
    lastBlock: view.getUint32(at + 28, true),
  };
}
