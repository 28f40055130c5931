import { CorruptionError, formatLsn, lsn, type Lsn } from '@zenith/base';
import {
  WalRecord,
  WalStreamDecoder,
  XLOG_BLCKSZ,
  XL_TOT_LEN,
  XLP_FIRST_IS_CONTRECORD,
  XLP_INFO,
  XLP_MAGIC,
  XLP_REM_LEN,
  formatOf,
  maxAlign,
  walPageHeaderLength,
  type PgMajor,
} from '@zenith/pg-format';
import { ComputeError } from '../errors.ts';

/** What must be known of the WAL before X to continue it at X. */
export interface WalTail {
  /** Where the last record before X begins: the xl_prev of the record at X. */
  readonly previousRecordLsn: Lsn;
  /** The bytes of X's page before X; zeroes where the timeline does not reach that far down. Empty when X begins a page. */
  readonly pagePrefix: Uint8Array;
}

/** Which WAL, and how to get it. */
export interface WalTailOptions {
  readonly major: PgMajor;
  /** Size of a WAL segment. Unit: bytes. */
  readonly segmentSize: number;
  /** X: where the WAL ends, a record boundary. */
  readonly endLsn: Lsn;
  /** Where the WAL that can be read begins, a record boundary below X. */
  readonly floorLsn: Lsn;
  /** Reads the WAL `[from, to)`. */
  readonly read: (from: Lsn, to: Lsn) => Promise<Uint8Array>;
}

/** Size of the first look back; almost always enough. Unit: bytes, whole pages. */
const WINDOW_FIRST = 4 * XLOG_BLCKSZ;

/** Each further look back is so many times larger. */
const WINDOW_GROWTH = 8;

/** The largest look back: a record can be 1 GiB long. Unit: bytes. */
const WINDOW_MAX = 2 ** 30 + 2 ** 25;

/**
 * Finds the last record before X by looking back from X in growing windows for a page on which a record begins, and decoding forward from there with the decoder everybody uses.
 * @throws ComputeError `wal-unavailable` when no record begins within the largest window, CorruptionError when X is no record boundary of that WAL, and what `read` throws
 */
export async function readWalTail(options: WalTailOptions): Promise<WalTail> {
  const { endLsn, floorLsn } = options;
  const lastPage = pageStart(lsn(endLsn - 1));
  for (let window = WINDOW_FIRST; window <= WINDOW_MAX; window *= WINDOW_GROWTH) {
    const from = Math.max(floorLsn, lastPage - window + XLOG_BLCKSZ) as Lsn;
    const bytes = await options.read(from, endLsn);
    const first = from === floorLsn ? floorLsn : firstRecordStart(options, bytes, from);
    if (first !== undefined)
      return {
        previousRecordLsn: lastRecord(options, bytes.subarray(first - from), first),
        pagePrefix: prefixOf(bytes, from, endLsn),
      };
  }
  throw new ComputeError(
    'wal-unavailable',
    `no WAL record begins within ${WINDOW_MAX} bytes before ${formatLsn(endLsn)}`,
  );
}

function pageStart(position: Lsn): number {
  return position - (position % XLOG_BLCKSZ);
}

/** The first record that begins in `bytes`, which begin with the page at `from`; undefined when none is sure to. */
function firstRecordStart(
  { major, segmentSize, endLsn }: WalTailOptions,
  bytes: Uint8Array,
  from: Lsn,
): Lsn | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = formatOf(major).walPageMagic;
  for (
    let page: number = from;
    page + XLOG_BLCKSZ <= from + bytes.length || page === pageStart(endLsn);
    page += XLOG_BLCKSZ
  ) {
    const at = page - from;
    const headerLength = walPageHeaderLength(page as Lsn, segmentSize);
    if (at + headerLength > bytes.length) return undefined;
    if (view.getUint16(at + XLP_MAGIC, true) !== magic) continue; // a page that was never written
    const continued = (view.getUint16(at + XLP_INFO, true) & XLP_FIRST_IS_CONTRECORD) !== 0;
    const skipped = continued ? maxAlign(view.getUint32(at + XLP_REM_LEN, true)) : 0;
    if (headerLength + skipped >= XLOG_BLCKSZ) continue;
    const first = page + headerLength + skipped;
    if (first >= endLsn) return undefined;
    if (view.getUint32(first - from + XL_TOT_LEN, true) !== 0) return first as Lsn; // else it is what fills a segment after a switch: headers and zeroes
  }
  return undefined;
}

/** Where the last record of `bytes`, which begin with a record at `first`, begins. */
function lastRecord({ major, segmentSize, endLsn }: WalTailOptions, bytes: Uint8Array, first: Lsn): Lsn {
  const decoder = new WalStreamDecoder(major, first, { segmentSize });
  const record = new WalRecord();
  decoder.push(bytes);
  while (decoder.next(record));
  if (decoder.position !== endLsn) {
    const why = decoder.end?.message ?? 'a record goes on beyond it';
    throw new CorruptionError(
      `the WAL cannot be continued at ${formatLsn(endLsn)}: its last whole record ends at ${formatLsn(decoder.position)} (${why})`,
      { source: 'WAL' },
    );
  }
  return decoder.lastRecordLsn;
}

function prefixOf(bytes: Uint8Array, from: Lsn, endLsn: Lsn): Uint8Array {
  const prefix = new Uint8Array(endLsn % XLOG_BLCKSZ);
  const known = Math.min(prefix.length, endLsn - from);
  prefix.set(bytes.subarray(bytes.length - known), prefix.length - known);
  return prefix;
}
