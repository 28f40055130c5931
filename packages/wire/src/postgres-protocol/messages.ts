// Payloads of the messages both sides use.  PG 18: protocol.sgml, "Message Formats"

/** Type bytes of messages. Some letters mean different things from client and from server. PG: protocol.h. */
export const MessageType = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  dataRow: 0x44, // D
  emptyQuery: 0x49, // I
  errorResponse: 0x45, // E
  negotiateProtocolVersion: 0x76, // v
  noticeResponse: 0x4e, // N
  parameterStatus: 0x53, // S
  password: 0x70, // p
  query: 0x51, // Q
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
  terminate: 0x58, // X
} as const;

/** Protocol version 3.0 in a startup message. */
export const PROTOCOL_VERSION_3 = 196608;
/** AuthenticationOk, in an authentication message. */
export const AUTHENTICATION_OK = 0;
/** AuthenticationCleartextPassword. */
export const AUTHENTICATION_CLEARTEXT_PASSWORD = 3;
/** Request code of SSLRequest. */
export const SSL_REQUEST = 80877103;
/** Request code of GSSENCRequest. */
export const GSSENC_REQUEST = 80877104;
/** Request code of CancelRequest. */
export const CANCEL_REQUEST = 80877102;

/** The message with that type byte around the concatenated parts. A new buffer, owned by the caller. */
export function encodeMessage(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const message = Buffer.allocUnsafe(1 + length);
  message[0] = type;
  message.writeInt32BE(length, 1);
  let offset = 5;
  for (const part of parts) {
    message.set(part, offset);
    offset += part.length;
  }
  return message;
}

/** UTF-8 with the terminating zero byte. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}

/** A startup message with these parameters. */
export function encodeStartup(parameters: ReadonlyMap<string, string>): Buffer {
  const pairs = [...parameters].flatMap(([name, value]) => [cString(name), cString(value)]);
  const head = Buffer.allocUnsafe(8);
  const length = pairs.reduce((sum, pair) => sum + pair.length, 8 + 1);
  head.writeInt32BE(length, 0);
  head.writeInt32BE(PROTOCOL_VERSION_3, 4);
  return Buffer.concat([head, ...pairs, Buffer.of(0)]);
}

/** Reads zero-terminated strings from `bytes[offset, offset + length)` up to the empty one or the end. */
export function decodeStrings(bytes: Uint8Array, offset: number, length: number): string[] {
  const strings: string[] = [];
  const end = offset + length;
  let begin = offset;
  for (let i = offset; i < end; i++) {
    if (bytes[i] !== 0) continue;
    strings.push(Buffer.from(bytes.buffer, bytes.byteOffset + begin, i - begin).toString('utf8'));
    begin = i + 1;
  }
  return strings;
}

/** An ErrorResponse. `severity` is ERROR (the session goes on) or FATAL (it ends). */
export function encodeError(severity: 'ERROR' | 'FATAL', sqlState: string, message: string): Buffer {
  return encodeMessage(
    MessageType.errorResponse,
    cString(`S${severity}`),
    cString(`V${severity}`),
    cString(`C${sqlState}`),
    cString(`M${message}`),
    Buffer.of(0),
  );
}

/** The fields of an ErrorResponse or NoticeResponse by their letter. */
export function decodeErrorFields(bytes: Uint8Array, offset: number, length: number): Map<string, string> {
  return new Map(
    decodeStrings(bytes, offset, length)
      .filter((field) => field !== '')
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
}
