import { CorruptionError, crc32c } from '@zenith/base';

/** What comes before the body, and what behind it: `}` and a line feed. Unit: bytes. */
const [HEAD_BYTES_MAX, TAIL_BYTES] = [32, 2];

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The bytes of a file of JSON with a checksum: `{crc32c, body}` and a line feed, the checksum being that of the body's own JSON. The same body gives the same bytes. */
export function encodeCheckedJson(body: object): Uint8Array {
  const text = JSON.stringify(body);
  return new TextEncoder().encode(`{"crc32c":${crc32c(new TextEncoder().encode(text))},"body":${text}}\n`);
}

/**
 * The body of such a file, whose checksum is right.
 * @param what the file is, for messages
 * @param source names it in errors
 * @throws CorruptionError
 */
export function decodeCheckedJson(bytes: Uint8Array, what: string, source: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CorruptionError(`${what} is not JSON`, { source }, { cause });
  }
  if (!isObject(parsed) || !isObject(parsed['body'])) throw new CorruptionError(`${what} has no body`, { source });
  const { body } = parsed;
  if (bodyChecksum(bytes, body) !== parsed['crc32c'])
    throw new CorruptionError(`the checksum of ${what} is wrong`, { source });
  return body;
}

/** True when the file is as {@link encodeCheckedJson} writes it, with a body that begins like that: then decoding it finds nothing wrong. False says nothing. */
export function isCheckedJson(bytes: Uint8Array, bodyBegin: string): boolean {
  const head = /^\{"crc32c":(\d{1,10}),"body":/.exec(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES_MAX)));
  if (head === null) return false;
  const [begin, end] = [head[0].length, bytes.length - TAIL_BYTES];
  return (
    new TextDecoder().decode(bytes.subarray(begin, begin + bodyBegin.length)) === bodyBegin &&
    new TextDecoder().decode(bytes.subarray(end)) === '}\n' &&
    crc32c(bytes, begin, end) === Number(head[1])
  );
}

/** The checksum of the body's own JSON: that of its bytes, where the file is as {@link encodeCheckedJson} writes it. */
function bodyChecksum(bytes: Uint8Array, body: unknown): number {
  const head = /^\{"crc32c":\d{1,10},"body":/.exec(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES_MAX)))?.[0];
  if (head === undefined) return crc32c(new TextEncoder().encode(JSON.stringify(body)));
  return crc32c(bytes, head.length, bytes.length - TAIL_BYTES);
}
