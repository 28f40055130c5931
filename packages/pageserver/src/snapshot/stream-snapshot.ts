import { Readable } from 'node:stream';
import { encodeSnapshotHeader } from '@zenith/wire';
import type { Snapshot } from './build-snapshot.ts';

/** A snapshot as it is sent: the chunks of wire/snapshot's format, and how long they are together. Unit: bytes. */
export interface SnapshotStream {
  readonly stream: Readable;
  readonly length: number;
}

/** The snapshot as a stream of bytes. */
export function streamSnapshot(snapshot: Snapshot): SnapshotStream {
  const chunks = [
    encodeSnapshotHeader(snapshot.manifest),
    ...snapshot.contents.filter((content) => content.length > 0),
  ];
  return {
    stream: Readable.from(chunks, { objectMode: false }),
    length: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  };
}
