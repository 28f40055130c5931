import { CorruptionError, INVALID_LSN, ZenithError, lsn } from '@zenith/base';
import {
  BLCKSZ,
  WalRecord,
  decodeRecord,
  encodeRecord,
  trimRecord,
  trimmedLength,
  type Page,
  type PgMajor,
  type RecordSpec,
} from '@zenith/pg-format';
import type { GalleryItem } from '../gallery-item.test-support.ts';
import {
  VisibilityMapClears,
  checkConsistency,
  describeRecord,
  impliedVisibilityMapClears,
  maskPage,
  redoBlock,
} from '../index.ts';
import { END_LSN } from '../record-builder.test-support.ts';
import { BoundedView, FuzzViolation } from './bounded-view.test-support.ts';
import { mutateBytes, mutateSpec } from './mutate.test-support.ts';
import type { Random } from './random.test-support.ts';

const HEADER = 24;
const XL_INFO = 16;
/** Bytes around record and page that nobody may touch. */
const AROUND = 64;
const MAJORS: readonly PgMajor[] = [15, 16, 17, 18];
/** Codes of the errors redo may throw that are no corruption: it says that it does not know, it does not fail. */
const REFUSALS: readonly string[] = ['unsupported-record', 'unsupported-compression'];

/** What came out: the page, or the error in words. */
type Outcome = { readonly page: Uint8Array } | { readonly error: string };

/** The outcome of `work`. @throws what is neither a page nor an error that is allowed */
function outcomeOf(page: Page, work: () => void): Outcome {
  try {
    work();
    return { page: page.bytes };
  } catch (error) {
    if (error instanceof CorruptionError || (error instanceof ZenithError && REFUSALS.includes(error.code)))
      return { error: error.message };
    throw error;
  }
}

function surrounded(content: Uint8Array, filler: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(content.length + 2 * AROUND).fill(filler);
  bytes.set(content, AROUND);
  return bytes;
}

function checkSurroundings(bytes: Uint8Array, filler: number, what: string): void {
  for (let i = 0; i < AROUND; i++)
    if (bytes[i] !== filler || bytes[bytes.length - 1 - i] !== filler)
      throw new FuzzViolation(`a byte beside the ${what} was written`);
}

/** Decodes and redoes with `filler` around record and page. */
function redo(major: PgMajor, encoded: Uint8Array, blockIndex: number, content: Uint8Array, filler: number): Outcome {
  const recordBytes = surrounded(encoded, filler);
  const pageBytes = surrounded(content, filler);
  const bytes = new Uint8Array(pageBytes.buffer, AROUND, BLCKSZ);
  const page: Page = { bytes, view: new BoundedView(bytes, 0, BLCKSZ, true) };
  const record = new WalRecord();
  const outcome = outcomeOf(page, () => {
    decodeRecord(
      major,
      recordBytes,
      new BoundedView(recordBytes, AROUND, AROUND + encoded.length, false),
      AROUND,
      INVALID_LSN,
      END_LSN,
      record,
    );
    describeRecord(major, record);
    redoBlock(major, record, blockIndex, page);
  });
  checkSurroundings(recordBytes, filler, 'record');
  checkSurroundings(pageBytes, filler, 'page');
  if (Buffer.compare(recordBytes.subarray(AROUND, AROUND + encoded.length), encoded) !== 0)
    throw new FuzzViolation('the record was written');
  return outcome;
}

function same(a: Outcome, b: Outcome, what: string, withMessages: boolean): void {
  if ('page' in a && 'page' in b && Buffer.compare(a.page, b.page) === 0) return;
  if ('error' in a && 'error' in b && (!withMessages || a.error === b.error)) return;
  throw new FuzzViolation(
    `${what} change the outcome: ${'error' in a ? a.error : 'a page'} against ${'error' in b ? b.error : 'a page'}`,
  );
}

/** A record and a page damaged at random; which block it is to be redone on. */
function damaged(random: Random, item: GalleryItem): { encoded: Uint8Array; content: Uint8Array; blockIndex: number } {
  const content = item.page.slice();
  const kind = random.below(8);
  let encoded: Uint8Array;
  if (kind < 5) encoded = encode(kind < 4 ? mutateSpec(random, item.spec) : item.spec);
  else {
    encoded = encode(item.spec);
    mutateBytes(random, encoded, HEADER);
    if (random.chance(0.05)) encoded[XL_INFO] = random.below(256);
  }
  if (kind === 4 || random.chance(0.5)) mutateBytes(random, content);
  const blockIndex = random.chance(0.9) ? item.blockIndex : random.below(5);
  return { encoded, content, blockIndex };
}

function encode(spec: RecordSpec): Uint8Array {
  return encodeRecord(spec, lsn(0x1000));
}

/**
 * One step: damages a record and a page of the corpus and redoes it. Redo either applies or refuses; nothing outside of record and page is read or written, the record is not
 * written, no loop goes on for ever, the record trimmed to the block gives the same.
 * @throws FuzzViolation, or whatever redo let through
 */
export function fuzzRedo(random: Random, corpus: readonly GalleryItem[]): void {
  const item = random.pick(corpus);
  const major = random.chance(0.95) ? (item.major ?? 18) : random.pick(MAJORS);
  const { encoded, content, blockIndex } = damaged(random, item);
  const outcome = redo(major, encoded, blockIndex, content, 0x00);
  same(outcome, redo(major, encoded, blockIndex, content, 0xff), 'bytes beside record or page', true);

  const record = new WalRecord();
  try {
    const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
    decodeRecord(major, encoded, view, 0, INVALID_LSN, END_LSN, record);
  } catch (error) {
    if (error instanceof CorruptionError) return;
    throw error;
  }
  const trimmed = new Uint8Array(trimmedLength(record, blockIndex));
  trimRecord(record, blockIndex, trimmed, new DataView(trimmed.buffer), 0);
  if (blockIndex < record.blockCount && record.blocks[blockIndex]?.inUse === true)
    same(outcome, redo(major, trimmed, blockIndex, content, 0x00), 'what trimming leaves out', false);

  const clears = new VisibilityMapClears();
  const page = pageOf(content);
  outcomeOf(page, () => impliedVisibilityMapClears(record, clears));
  outcomeOf(page, () => void checkConsistency(major, record, blockIndex, page));
  outcomeOf(page, () => void maskPage(major, record.rmid, page, record.blocks[blockIndex]?.block ?? 0));
}

function pageOf(content: Uint8Array): Page {
  const bytes = new Uint8Array(BLCKSZ);
  bytes.set(content);
  return { bytes, view: new BoundedView(bytes, 0, BLCKSZ, true) };
}
