import { CorruptionError, ZenithError, crc32c, type Lsn, type SystemId } from '@zenith/base';
import {
  RM_XACT_ID,
  WalRecord,
  WalStreamDecoder,
  WalStreamEncoder,
  XLOG_XACT_HAS_INFO,
  XactRecord,
  allocatePage,
  parseAbort,
  parseCommit,
  parsePrepare,
  restoreBlockImage,
  type PgMajor,
  type RecordSpec,
} from '@zenith/pg-format';
import type { GalleryItem } from '../gallery-item.test-support.ts';
import { FuzzViolation } from './bounded-view.test-support.ts';
import { mutateBytes, mutateSpec } from './mutate.test-support.ts';
import type { Random } from './random.test-support.ts';

const SYSTEM_ID = '7412345678901234567' as SystemId;
const MAJORS: readonly PgMajor[] = [15, 16, 17, 18];
const RECORDS_MAX = 30;
const XACT_DATA_MAX = 300;
const IMAGE_LENGTH = 3000;
const HEADER = 24;
const CRC = 20;
const BLOCK_COMPRESSION = [0, 0x04, 0x08, 0x10];

/** The end of a transaction with what it announces at random, which is mostly more than it has. */
function transactionEnd(random: Random): RecordSpec {
  const mainData = Uint8Array.from({ length: 8 + random.below(XACT_DATA_MAX) }, () =>
    random.chance(0.7) ? random.below(3) : random.below(256),
  );
  return {
    rmid: RM_XACT_ID,
    info: (random.below(7) << 4) | (random.chance(0.8) ? XLOG_XACT_HAS_INFO : 0),
    xid: 800,
    mainData,
  };
}

/** A record with an image that is damaged, or compressed by any method. */
function withImage(random: Random, spec: RecordSpec): RecordSpec {
  const compression = random.pick(BLOCK_COMPRESSION);
  const holeOffset = 100 + random.below(1000);
  const bytes = Uint8Array.from({ length: IMAGE_LENGTH }, () => random.below(random.chance(0.5) ? 4 : 256));
  const image = { bytes, apply: true, holeOffset, holeLength: 8192 - IMAGE_LENGTH, compression };
  return { ...spec, blocks: (spec.blocks ?? []).map((block) => ({ ...block, image })) };
}

function wal(random: Random, major: PgMajor, start: Lsn, corpus: readonly GalleryItem[]): Uint8Array {
  const encoder = new WalStreamEncoder(major, start, { systemId: SYSTEM_ID, previousLsn: (start - 64) as Lsn });
  for (let n = 1 + random.below(RECORDS_MAX); n > 0; n--) {
    const spec = random.pick(corpus).spec;
    if (random.chance(0.2)) encoder.append(transactionEnd(random));
    else if (random.chance(0.1)) encoder.append(withImage(random, spec));
    else encoder.append(random.chance(0.3) ? mutateSpec(random, spec) : spec);
  }
  return encoder.bytes.slice();
}

/** Damages bytes; of some records that lie in one piece also the checksum is made right again, so that what is wrong is left to later checks. */
function damage(random: Random, major: PgMajor, start: Lsn, bytes: Uint8Array): void {
  const decoder = new WalStreamDecoder(major, start);
  const record = new WalRecord();
  const places: { readonly at: number; readonly length: number }[] = [];
  decoder.push(bytes);
  while (decoder.next(record))
    if (record.bytes === bytes) places.push({ at: record.offset, length: record.totalLength });
  for (let n = random.below(4); n > 0 && places.length > 0; n--) {
    const { at, length } = random.pick(places);
    mutateBytes(random, bytes, random.chance(0.2) ? at : at + HEADER, at + length);
    const view = new DataView(bytes.buffer);
    view.setUint32(at + CRC, crc32c(bytes, at, at + CRC, crc32c(bytes, at + HEADER, at + length)), true);
  }
  if (random.chance(0.3)) mutateBytes(random, bytes);
}

/** What a decoder gave: one line a record, and how it ended. */
function decode(random: Random, major: PgMajor, start: Lsn, bytes: Uint8Array, chunkMax: number): string[] {
  const decoder = new WalStreamDecoder(major, start, { systemId: SYSTEM_ID });
  const record = new WalRecord();
  const lines: string[] = [];
  for (let at = 0; at < bytes.length && decoder.end === undefined;) {
    const count = Math.min(1 + random.below(chunkMax), bytes.length - at);
    // The chunk is a part of a larger buffer, as one that comes from the network.
    decoder.push(new Uint8Array(bytes.buffer, at, count));
    at += count;
    while (decoder.next(record)) {
      if (lines.length > bytes.length / HEADER) throw new FuzzViolation('more records than there is room for');
      lines.push(describe(record));
      readParts(major, record);
    }
  }
  lines.push(`end ${decoder.position} ${decoder.end?.reason} ${decoder.end?.lsn} ${decoder.end?.message}`);
  return lines;
}

/** Every part lies inside of the record, one behind the other. */
function describe(record: WalRecord): string {
  const end = record.offset + record.totalLength;
  let at = record.offset + HEADER;
  const part = (offset: number, length: number): void => {
    if (length < 0 || offset < at || offset + length > end)
      throw new FuzzViolation(
        `a part of the record at ${record.lsn} reaches from ${offset} to ${offset + length} of [${at}, ${end})`,
      );
    at = offset + length;
  };
  const blocks: string[] = [];
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id];
    if (block === undefined || !block.inUse) continue;
    part(block.imageOffset, block.imageLength);
    part(block.dataOffset, block.dataLength);
    if (block.holeOffset + block.holeLength > 8192) throw new FuzzViolation('a hole outside of the page');
    blocks.push(`${id}:${block.rel}/${block.fork}/${block.block}+${block.dataLength}+${block.imageLength}`);
  }
  part(record.mainDataOffset, record.mainDataLength);
  if (at !== end) throw new FuzzViolation(`the parts of the record at ${record.lsn} end at ${at}, it at ${end}`);
  return `${record.lsn} ${record.endLsn} ${record.rmid}/${record.info} ${record.mainDataLength} ${blocks.join(' ')}`;
}

const xact = new XactRecord();
const page = allocatePage();

/** Everything that reads a record's data without redo refuses what it cannot read. */
function readParts(major: PgMajor, record: WalRecord): void {
  for (const parse of [parseCommit, parseAbort, parsePrepare]) {
    refusing(() => {
      parse(major, record, xact);
      const end = record.offset + record.totalLength;
      const lists = [xact.subxactsOffset + xact.subxactCount * 4, xact.relsOffset + xact.relCount * 12];
      if (lists.some((to) => to > end) || xact.gidOffset + xact.gidLength > end)
        throw new FuzzViolation(`a list of the transaction record at ${record.lsn} leaves it`);
    });
  }
  for (let id = 0; id < record.blockCount; id++)
    if (record.blocks[id]?.inUse === true && record.blocks[id]?.hasImage === true)
      refusing(() => restoreBlockImage(record, id, page));
}

/** Lets `work` fail in the ways it may. */
export function refusing(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof CorruptionError) && !(error instanceof ZenithError)) throw error;
  }
}

/**
 * One step: writes WAL of records of the corpus, damages it with and without right checksums, and decodes it in chunks of different sizes. Each gives the same records and the
 * same end; nothing is thrown but by those who read a record's data, and that is a CorruptionError.
 */
export function fuzzWal(random: Random, corpus: readonly GalleryItem[]): void {
  const major = random.pick(MAJORS);
  const start = (0x12_3400_0000 + random.below(4) * 8184 + (random.chance(0.5) ? 0 : 40)) as Lsn;
  const aligned = (start - (start % 8)) as Lsn;
  const bytes = wal(random, major, aligned, corpus);
  damage(random, major, aligned, bytes);
  const whole = decode(random, major, aligned, bytes, bytes.length);
  for (const chunkMax of [32, 1000, 20_000]) {
    const pieces = decode(random, major, aligned, bytes, chunkMax);
    if (pieces.length !== whole.length || pieces.some((line, i) => line !== whole[i]))
      throw new FuzzViolation(`chunks of up to ${chunkMax} bytes are decoded to something else`);
  }
}
