import { CorruptionError, INVALID_LSN, ZenithError, unreachable, type Lsn } from '@zenith/base';
import type { PageHistoryAnswer, PointInTime } from '@zenith/control-plane';
import { WalRecord, allocatePage, decodeRecord, type Page, type PgMajor } from '@zenith/pg-format';
import {
  applyOperation,
  comparePages,
  decodePage,
  describeOperation,
  describeRecord,
  redoBlock,
  type DecodedPage,
  type PartChange,
} from '@zenith/redo';

type StoredValue = PageHistoryAnswer['values'][number];

/** One thing that happened to a page. */
export interface PageEvent {
  /** The page is so from here on: the end of the record. */
  readonly lsn: Lsn;
  /** The transaction that wrote the record; 0 for none. */
  readonly xid: number;
  /** How that ended; undefined when it has not, or nobody knows. */
  readonly transaction: 'committed' | 'aborted' | undefined;
  /** When it was committed; undefined when nobody knows. */
  readonly commitTime: PointInTime | undefined;
  /** `HEAP/INSERT off 3 flags 0x08`. */
  readonly description: string;
  /** What it changed; undefined when that cannot be told. */
  readonly changes: readonly PartChange[] | undefined;
  /** Why the page cannot be rebuilt from here on. */
  readonly failure: string | undefined;
}

/** Which page it is, and how its records are to be read. */
export interface ReplayedPage {
  readonly major: PgMajor;
  readonly fork: number;
  readonly block: number;
}

/** What a record changes is said without the page's LSN, which each of them sets, and without its checksum. */
const NOT_TOLD: ReadonlySet<string> = new Set(['lsn', 'checksum']);

/**
 * Makes every version of a page again, one value after the other, and says what each changed.
 * @param values the oldest first
 * @param before the page before the first of them; undefined when it is not known, or nothing was there
 */
export function replayHistory(
  { major, fork, block }: ReplayedPage,
  values: readonly StoredValue[],
  before: Page | undefined,
): PageEvent[] {
  const page = before ?? allocatePage();
  const record = new WalRecord();
  let decoded: DecodedPage | undefined = before === undefined ? undefined : decodePage(page, fork, block);
  return values.map((value) => {
    const { description, xid } = describe(major, value, record);
    const isBase = value.kind !== 'record' && value.kind !== 'operation';
    const was = decoded ?? (isBase ? decodePage(allocatePage(), fork, block) : undefined);
    decoded = undefined;
    let failure: string | undefined;
    if (was !== undefined) {
      try {
        apply(major, value, record, page);
        decoded = decodePage(page, fork, block);
      } catch (error) {
        // Damaged, or written by an extension: what came of it, only the next image can tell.
        if (!(error instanceof CorruptionError) && !(error instanceof ZenithError)) throw error;
        failure = error.message;
      }
    }
    const changes = was === undefined || decoded === undefined ? undefined : toTell(comparePages(was, decoded));
    const commitTime = value.commitTime as PointInTime | undefined;
    return { lsn: value.lsn, xid, transaction: value.transaction, commitTime, description, changes, failure };
  });
}

function toTell(changes: readonly PartChange[]): PartChange[] {
  return changes
    .map((change) =>
      change.part === 'header' && change.change === 'changed'
        ? { ...change, fields: change.fields.filter(({ name }) => !NOT_TOLD.has(name)) }
        : change,
    )
    .filter(({ fields, change }) => change !== 'changed' || fields.length > 0);
}

/** What a value is; a record is decoded into `record`. */
function describe(
  major: PgMajor,
  value: StoredValue,
  record: WalRecord,
): { readonly description: string; readonly xid: number } {
  const { bytes } = value;
  const view = viewOf(bytes);
  switch (value.kind) {
    case 'image':
      return { description: 'image: the history that is kept begins here', xid: 0 };
    case 'zero-page':
      return { description: 'page of zeroes: the relation was extended', xid: 0 };
    case 'operation':
      return { description: describeOperation(view, 0, bytes.length), xid: 0 };
    case 'record':
    case 'init-record':
      decodeRecord(major, bytes, view, 0, INVALID_LSN, value.lsn, record);
      return { description: describeRecord(major, record) + imageOf(record, value.blockIndex ?? 0), xid: record.xid };
    default:
      return unreachable(value.kind);
  }
}

function imageOf(record: WalRecord, blockIndex: number): string {
  const block = record.blocks[blockIndex];
  return block?.inUse === true && block.hasImage && block.applyImage ? ' (full-page image)' : '';
}

function apply(major: PgMajor, value: StoredValue, record: WalRecord, page: Page): void {
  switch (value.kind) {
    case 'image':
      page.bytes.set(value.bytes.subarray(0, page.bytes.length));
      return;
    case 'zero-page':
      page.bytes.fill(0);
      return;
    case 'operation':
      applyOperation(viewOf(value.bytes), 0, value.bytes.length, page, value.lsn);
      return;
    case 'init-record':
      page.bytes.fill(0);
      redoBlock(major, record, value.blockIndex ?? 0, page);
      return;
    case 'record':
      redoBlock(major, record, value.blockIndex ?? 0, page);
      return;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
