import { CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import type { Page } from '@zenith/pg-format';
import { applyCommitTimestamps } from './commit-timestamp.ts';
import { applyMultixactMembers, applyMultixactOffsets } from './multixact.ts';
import { OPERATION_HEADER, OperationKind, type ApplyBody } from './operation.ts';
import { applyTransactionStatus } from './transaction-status.ts';
import { applyVisibilityMapClear, applyVisibilityMapTruncate } from './visibility-map.ts';

const APPLY: readonly (ApplyBody | undefined)[] = tableByKind([
  [OperationKind.visibilityMapClear, applyVisibilityMapClear],
  [OperationKind.visibilityMapTruncate, applyVisibilityMapTruncate],
  [OperationKind.transactionStatus, applyTransactionStatus],
  [OperationKind.multixactOffsets, applyMultixactOffsets],
  [OperationKind.multixactMembers, applyMultixactMembers],
  [OperationKind.commitTimestamps, applyCommitTimestamps],
]);

function tableByKind(
  entries: readonly (readonly [kind: number, apply: ApplyBody])[],
): readonly (ApplyBody | undefined)[] {
  const table: (ApplyBody | undefined)[] = [];
  for (const [kind, apply] of entries) table[kind] = apply;
  return Array.from(table);
}

/**
 * Applies the encoded page operation in `operation[offset, offset + length)` to `page`, in place. Pages are not asked for their LSN and get
 * none: SLRU pages have no place for it, and PostgreSQL clears visibility map bits without setting it. `lsn` is for messages.
 * @throws CorruptionError when the operation does not add up; the page's content is then undefined
 */
export function applyOperation(operation: DataView, offset: number, length: number, page: Page, lsn: Lsn): void {
  const end = offset + length;
  try {
    if (length <= OPERATION_HEADER || end > operation.byteLength)
      throw new CorruptionError(`a page operation of ${length} bytes`);
    const kind = operation.getUint8(offset);
    const apply = APPLY[kind];
    if (apply === undefined) throw new CorruptionError(`unknown kind of page operation ${kind}`);
    apply(operation, offset + OPERATION_HEADER, end, page);
  } catch (cause) {
    if (!(cause instanceof RangeError) && !(cause instanceof CorruptionError)) throw cause;
    throw new CorruptionError(
      `page operation cannot be applied: ${cause.message}`,
      { source: `operation at LSN ${formatLsn(lsn)}`, offset },
      { cause },
    );
  }
}
