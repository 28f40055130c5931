import { MESSAGE_LENGTH_MAX } from './layout.ts';

/** A message as UTF-8, cut to its bound at a character boundary; bytes of its own. */
export function encodeMessage(message: string): Uint8Array {
  const bytes = Buffer.from(message, 'utf8');
  if (bytes.length <= MESSAGE_LENGTH_MAX) return bytes;
  let end = MESSAGE_LENGTH_MAX;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--; // 10xxxxxx continues a character
  return bytes.subarray(0, end);
}

/** The text of a message a peer sent; invalid UTF-8 becomes U+FFFD, control characters become spaces (it ends in one log line). */
export function decodeMessage(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  return text.replaceAll(/\p{Cc}/gu, ' ');
}
