import { CorruptionError } from '@zenith/base';
import type { WalRecord } from '@zenith/pg-format';

/** Where the main data begin in `record.bytes`. @throws CorruptionError when there are fewer than `minLength` bytes of them */
export function mainData(record: WalRecord, minLength: number): number {
  if (record.mainDataLength < minLength)
    throw new CorruptionError(`main data of ${record.mainDataLength} bytes, expected at least ${minLength}`);
  return record.mainDataOffset;
}

/** Where the data of a block begin in `record.bytes`. @throws CorruptionError when there are fewer than `minLength` bytes of them */
export function blockData(record: WalRecord, blockIndex: number, minLength: number): number {
  const block = record.blocks[blockIndex];
  const length = block === undefined || !block.inUse ? 0 : block.dataLength;
  if (block === undefined || length < minLength)
    throw new CorruptionError(`data of ${length} bytes with block ${blockIndex}, expected at least ${minLength}`);
  return block.dataOffset;
}

/** {@link blockData} of a block that has exactly `length` bytes of them. @throws CorruptionError when it has more or fewer */
export function exactBlockData(record: WalRecord, blockIndex: number, length: number): number {
  const data = blockData(record, blockIndex, length);
  if (blockDataLength(record, blockIndex) !== length)
    throw new CorruptionError(
      `data of ${blockDataLength(record, blockIndex)} bytes with block ${blockIndex}, expected ${length}`,
    );
  return data;
}

/** How many bytes of data the record has with a block that it refers to. */
export function blockDataLength(record: WalRecord, blockIndex: number): number {
  return record.blocks[blockIndex]?.dataLength ?? 0;
}

/** True when the record refers to a block with this id. PG: XLogRecHasBlockRef(). */
export function hasBlock(record: WalRecord, blockIndex: number): boolean {
  return blockIndex < record.blockCount && record.blocks[blockIndex]?.inUse === true;
}

/** Block number of a block that the record refers to. @throws CorruptionError when it does not */
export function blockNumber(record: WalRecord, blockIndex: number): number {
  const block = record.blocks[blockIndex];
  if (block === undefined || !hasBlock(record, blockIndex))
    throw new CorruptionError(`no block ${blockIndex}, which this kind of record always has`);
  return block.block;
}
