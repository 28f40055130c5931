import { crc32c, lsn } from '@zenith/base';
import {
  BLCKSZ,
  PG_CONTROL_FILE_SIZE,
  SIZE_OF_CHECK_POINT,
  XactRecord,
  decodeCheckPoint,
  decodeControlFile,
  decodeRelationMap,
  encodeRelationMap,
  encodeTwoPhaseFile,
  formatOf,
  parseRelationPath,
  parseSlruFileName,
  parseTwoPhaseFile,
  pglzDecompress,
  type PgMajor,
} from '@zenith/pg-format';
import { OperationKind, applyOperation } from '../index.ts';
import { BoundedView, FuzzViolation } from './bounded-view.test-support.ts';
import { mutateBytes } from './mutate.test-support.ts';
import type { Random } from './random.test-support.ts';
import { refusing } from './wal-target.test-support.ts';

const MAJORS: readonly PgMajor[] = [15, 16, 17, 18];
const TWOPHASE_MAGIC = 0x57f94534;
const PREPARE_HEADER = 72;
const NAME_CHARACTERS = '0123456789ABCDEFabcdef_./xpgtblvminifsdauo ';

function randomBytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => (random.chance(0.6) ? 0 : random.below(256)));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Control files of the right version and with a right checksum, all else at random; and shorter ones. */
function controlFile(random: Random): void {
  const format = formatOf(random.pick(MAJORS));
  const bytes = randomBytes(random, random.chance(0.9) ? PG_CONTROL_FILE_SIZE : random.below(PG_CONTROL_FILE_SIZE + 1));
  if (bytes.length >= PG_CONTROL_FILE_SIZE) {
    viewOf(bytes).setUint32(8, format.pgControlVersion, true);
    viewOf(bytes).setUint32(12, format.catalogVersion, true);
    if (random.chance(0.1)) mutateBytes(random, bytes, 0, 16);
    viewOf(bytes).setUint32(format.controlFileCrcOffset, crc32c(bytes, 0, format.controlFileCrcOffset), true);
  }
  refusing(() => void decodeControlFile(bytes));
  const checkPoint = randomBytes(random, random.below(2 * SIZE_OF_CHECK_POINT));
  refusing(() => void decodeCheckPoint(format.major, viewOf(checkPoint), random.below(20)));
}

/** Relation maps with a right checksum. No more mappings come out than there is room for. */
function relationMap(random: Random): void {
  const major = random.pick(MAJORS);
  const format = formatOf(major);
  const bytes = encodeRelationMap(major, [{ oid: 1259, rel: random.next() }]);
  const crcOffset = 8 + 8 * format.relationMapEntriesMax;
  mutateBytes(random, bytes, random.chance(0.5) ? 4 : 0, random.chance(0.5) ? 8 : crcOffset);
  viewOf(bytes).setUint32(crcOffset, crc32c(bytes, 0, crcOffset), true);
  refusing(() => {
    if (
      decodeRelationMap(major, random.chance(0.9) ? bytes : bytes.subarray(random.below(9))).length >
      format.relationMapEntriesMax
    )
      throw new FuzzViolation('a relation map with more mappings than it has room for');
  });
}

/** Two-phase state files with a right length and checksum. What they announce lies inside of them. */
function twoPhaseFile(random: Random): void {
  const data = randomBytes(random, 8 * (random.below(40) + (random.chance(0.9) ? PREPARE_HEADER / 8 : 0)));
  const view = viewOf(data);
  if (data.length >= PREPARE_HEADER) {
    view.setUint32(0, TWOPHASE_MAGIC, true);
    view.setUint32(4, data.length + (random.chance(0.9) ? 4 : random.below(9)), true);
    for (let at = 28; at < 52; at += 4)
      view.setInt32(at, random.chance(0.8) ? random.below(4) : random.next() | 0, true);
    view.setUint16(54, random.below(random.chance(0.8) ? 20 : 0x1_0000), true);
  }
  const file = encodeTwoPhaseFile(data, 0, data.length);
  const xact = new XactRecord();
  refusing(() => {
    parseTwoPhaseFile(random.pick(MAJORS), random.chance(0.9) ? file : file.subarray(random.below(file.length)), xact);
    for (const [offset, count, size] of [
      [xact.subxactsOffset, xact.subxactCount, 4],
      [xact.relsOffset, xact.relCount, 12],
      [xact.abortRelsOffset, xact.abortRelCount, 12],
    ] as const)
      if (offset + count * size > data.length) throw new FuzzViolation('a list of a two-phase file leaves it');
  });
}

/** Page operations, which change pages of SLRUs and visibility maps. Nothing beside the operation is read, nothing beside the page written. */
function operation(random: Random): void {
  const around = 32;
  const length = random.below(60);
  const bytes = randomBytes(random, length + 2 * around);
  bytes[around] = random.chance(0.95) ? random.pick(Object.values(OperationKind)) : random.below(256);
  const pageBytes = new Uint8Array(BLCKSZ + 2 * around).fill(0x5a);
  const page = new Uint8Array(pageBytes.buffer, around, BLCKSZ);
  refusing(() =>
    applyOperation(
      new BoundedView(bytes, around, around + length, false),
      around,
      length,
      { bytes: page, view: new BoundedView(page, 0, BLCKSZ, true) },
      lsn(64),
    ),
  );
  for (let i = 0; i < around; i++)
    if (pageBytes[i] !== 0x5a || pageBytes[pageBytes.length - 1 - i] !== 0x5a)
      throw new FuzzViolation('a byte beside the page was written');
}

/** Compressed pages. Nothing is written behind the room they are given. */
function compressed(random: Random): void {
  const from = randomBytes(random, random.below(300));
  const room = random.below(600);
  const to = new Uint8Array(room + 300).fill(0x5a);
  pglzDecompress(from, 0, from.length, to, room);
  if (to.subarray(room).some((byte) => byte !== 0x5a)) throw new FuzzViolation('a byte behind the output was written');
}

/** Names of files. */
function names(random: Random): void {
  const name = Array.from(
    { length: random.below(24) },
    () => NAME_CHARACTERS[random.below(NAME_CHARACTERS.length)],
  ).join('');
  const segment = parseSlruFileName(name);
  if (segment !== undefined && !(Number.isInteger(segment) && segment >= 0 && segment < 2 ** 24))
    throw new FuzzViolation(`'${name}' is segment ${segment}`);
  for (const path of [name, `base/5/${name}`, `global/${name}`, `pg_tblspc/16400/PG_18_202506291/5/${name}`]) {
    const file = parseRelationPath(18, path);
    if (file !== undefined && Object.values(file).some((value) => !Number.isInteger(value) || value < 0))
      throw new FuzzViolation(`'${path}' is ${JSON.stringify(file)}`);
  }
}

const FORMATS = [controlFile, relationMap, twoPhaseFile, operation, compressed, names];

/** One step: a file or value of one of the formats besides records and pages, damaged behind its checksum. It is read or refused. */
export function fuzzFiles(random: Random): void {
  random.pick(FORMATS)(random);
}
