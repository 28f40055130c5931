import { OPERATION_HEADER, OperationKind } from '../operations/operation.ts';

const CLEAR_BYTES = 5;

/** One line on an encoded page operation, `bytes[offset, offset + length)`, for people: `visibility map clear: heap blocks 3 7`. Never fails, whatever it holds. */
export function describeOperation(view: DataView, offset: number, length: number): string {
  const kind = length < OPERATION_HEADER ? undefined : view.getUint8(offset);
  const body = offset + OPERATION_HEADER;
  const end = offset + length;
  switch (kind) {
    case OperationKind.visibilityMapClear: {
      const blocks: number[] = [];
      for (let at = body; at + CLEAR_BYTES <= end; at += CLEAR_BYTES) blocks.push(view.getUint32(at + 1, true));
      return `visibility map clear: heap blocks ${blocks.join(' ')}`;
    }
    case OperationKind.visibilityMapTruncate:
      return length < OPERATION_HEADER + 4
        ? 'visibility map truncate'
        : `visibility map truncate: ${view.getUint32(body, true)} heap blocks are left`;
    case OperationKind.transactionStatus:
      return 'transaction status';
    case OperationKind.multixactOffsets:
      return 'multixact offsets';
    case OperationKind.multixactMembers:
      return 'multixact members';
    case OperationKind.commitTimestamps:
      return 'commit timestamps';
    default:
      return 'unknown page operation';
  }
}
