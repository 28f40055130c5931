import { crc32cOfView, type Lsn } from '@zenith/base';
import { WalRecord, WalStreamDecoder, type PgMajor } from '@zenith/pg-format';
import { readWal } from './replay.ts';

const CHUNK = 128 * 1024;
const ROUNDS = 9;
const HEADER = 24;
const HEADER_BEFORE_CRC = 20;

/** What decoding some WAL takes. */
export interface DecodeTimes {
  readonly records: number;
  readonly bytes: number;
  /** Unit: s. */
  readonly decode: number;
  /** The checksums of the same records alone: a decoder that checks them cannot be faster. Unit: s. */
  readonly checksums: number;
}

/** Decodes the WAL of a directory from memory, in chunks as a stream brings them; the best of some rounds. */
export function decodeTimes(major: PgMajor, walDirectory: string, start: Lsn): DecodeTimes {
  const chunks: Uint8Array[] = [];
  readWal(walDirectory, start, (chunk) => {
    chunks.push(chunk.slice());
    return true;
  });
  const bytes = new Uint8Array(Buffer.concat(chunks));
  const record = new WalRecord();
  const decode = (): WalStreamDecoder => {
    const decoder = new WalStreamDecoder(major, start);
    for (let at = 0; at < bytes.length && decoder.end === undefined; at += CHUNK) {
      decoder.push(bytes.subarray(at, Math.min(at + CHUNK, bytes.length)));
      while (decoder.next(record)) continue;
    }
    return decoder;
  };
  // Those that are put together from several pages are of the same sizes: their checksums are taken of the bytes at the place.
  const places: number[] = [];
  const whole = new WalStreamDecoder(major, start);
  whole.push(bytes);
  while (whole.next(record))
    places.push(Math.min(record.lsn - start, bytes.length - record.totalLength), record.totalLength);
  const view = new DataView(bytes.buffer);
  const checksums = (): number => {
    let sum = 0;
    for (let i = 0; i < places.length; i += 2) {
      const offset = places[i] as number;
      const body = crc32cOfView(view, offset + HEADER, offset + (places[i + 1] as number), 0);
      sum ^= crc32cOfView(view, offset, offset + HEADER_BEFORE_CRC, body);
    }
    return sum;
  };
  return {
    records: places.length / 2,
    bytes: whole.position - start,
    decode: best(decode),
    checksums: best(checksums),
  };
}

function best(work: () => unknown): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    work();
    least = Math.min(least, performance.now() - from);
  }
  return least / 1000;
}
