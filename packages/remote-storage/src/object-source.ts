import { open } from 'node:fs/promises';
import { CorruptionError, crc32c } from '@zenith/base';

/** A file is read in pieces of this size. Unit: bytes. */
const PIECE_BYTES = 256 * 1024;

/** What an object is made of: bytes whose length and checksum are known before they are sent. */
export interface ObjectSource {
  /** For messages: a path, or what the bytes are. */
  readonly name: string;
  /** Unit: bytes. */
  readonly length: number;
  /** CRC-32C of all of them. */
  readonly crc32c: number;
  /** The bytes from the beginning, each time anew: a put may have to be tried again. The chunks are the reader's to keep. */
  open(): AsyncIterable<Uint8Array>;
  /** A durable file of exactly these bytes that will never be changed: storage on the same file system may link it instead of copying. */
  readonly path?: string;
}

/** An object in memory; `bytes` are borrowed and must not change while it is being put. */
export function bytesSource(name: string, bytes: Uint8Array): ObjectSource {
  return {
    name,
    length: bytes.length,
    crc32c: crc32c(bytes),
    // oxlint-disable-next-line typescript/require-await -- a source is read as a stream, wherever it comes from
    async *open() {
      if (bytes.length > 0) yield bytes;
    },
  };
}

/** A durable file that will never be changed; it may be removed at any time, which fails a put that has not opened it yet. */
export function fileSource(path: string, known: { readonly length: number; readonly crc32c: number }): ObjectSource {
  return { name: path, ...known, path, open: () => readPieces(path) };
}

/** Length and checksum of a file, for {@link fileSource}. */
export async function checksumFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly length: number; readonly crc32c: number }> {
  let length = 0;
  let crc = 0;
  for await (const piece of readPieces(path)) {
    signal?.throwIfAborted();
    crc = crc32c(piece, 0, piece.length, crc);
    length += piece.length;
  }
  return { length, crc32c: crc };
}

async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES);
      if (bytesRead === 0) return;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * The bytes of `source`, checked before the last of them is handed on: a storage that counts bytes never gets a whole object of wrong ones.
 * @throws CorruptionError when they are not what the source promises
 */
export async function* checkedBytes(source: ObjectSource): AsyncGenerator<Uint8Array> {
  let length = 0;
  let crc = 0;
  for await (const chunk of source.open()) {
    length += chunk.length;
    crc = crc32c(chunk, 0, chunk.length, crc);
    if (length > source.length || (length === source.length && crc !== source.crc32c)) throw mismatch(source);
    yield chunk;
  }
  if (length !== source.length || crc !== source.crc32c) throw mismatch(source);
}

function mismatch(source: ObjectSource): CorruptionError {
  return new CorruptionError('what is to be stored does not have the length and checksum it had before', {
    source: source.name,
  });
}
