import { CorruptionError } from '@zenith/base';
import {
  MESSAGE_LENGTH_MAX,
  PAGES_PER_REQUEST_MAX,
  PAGE_LENGTH,
  PageStatus,
  RESPONSE_HEADER_LENGTH,
} from './layout.ts';
import { encodeMessage } from './message.ts';

const ID = 0,
  STATUS = 4,
  COUNT = 8,
  LENGTH = 12;

/** The header of a response as a caller-owned scratch. `length` bytes follow it on the wire. */
export interface ResponseHeader {
  id: number;
  /** {@link PageStatus}; a status of a later version is possible. */
  status: number;
  /** Unit: pages; 0 on failure. */
  count: number;
  /** Unit: bytes. */
  length: number;
}

/** A scratch for {@link decodeResponseHeader}. */
export function newResponseHeader(): ResponseHeader {
  return { id: 0, status: 0, count: 0, length: 0 };
}

/** Writes at `offset` the 16-byte header of a response that carries `count` pages, which must follow it. */
export function encodePagesHeader(view: DataView, offset: number, id: number, count: number): void {
  view.setUint32(offset + ID, id, true);
  view.setUint32(offset + STATUS, PageStatus.ok, true);
  view.setUint32(offset + COUNT, count, true);
  view.setUint32(offset + LENGTH, count * PAGE_LENGTH, true);
}

/** A whole response that says why there are no pages (the message is cut to its bound), in a buffer of its own. */
export function encodeFailure(id: number, status: number, message: string): Uint8Array {
  const text = encodeMessage(message);
  const bytes = Buffer.alloc(RESPONSE_HEADER_LENGTH + text.length);
  bytes.writeUInt32LE(id, ID);
  bytes.writeUInt32LE(status, STATUS);
  bytes.writeUInt32LE(text.length, LENGTH);
  bytes.set(text, RESPONSE_HEADER_LENGTH);
  return bytes;
}

/**
 * Reads the 16-byte header of a response at `offset` into `into`.
 * @param source names the peer in errors
 * @throws CorruptionError when status, count and length do not fit each other or exceed their bounds
 */
export function decodeResponseHeader(view: DataView, offset: number, into: ResponseHeader, source: string): void {
  into.id = view.getUint32(offset + ID, true);
  into.status = view.getUint32(offset + STATUS, true);
  into.count = view.getUint32(offset + COUNT, true);
  into.length = view.getUint32(offset + LENGTH, true);
  const fits =
    into.status === PageStatus.ok
      ? into.count >= 1 && into.count <= PAGES_PER_REQUEST_MAX && into.length === into.count * PAGE_LENGTH
      : into.count === 0 && into.length <= MESSAGE_LENGTH_MAX;
  if (!fits)
    throw new CorruptionError(
      `a page response with status ${into.status}, ${into.count} pages and ${into.length} bytes`,
      { source },
    );
}
