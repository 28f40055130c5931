import { CorruptionError, assert, type TenantId, type TimelineId } from '@zenith/base';
import {
  CLIENT_HELLO_LENGTH,
  HELLO_TOKEN_LENGTH_MAX,
  MESSAGE_LENGTH_MAX,
  PAGE_PROTOCOL_MAGIC,
  PAGE_PROTOCOL_VERSION,
  PAGE_PROTOCOL_VERSION_WITH_TOKEN,
  SERVER_HELLO_LENGTH,
} from './layout.ts';
import { encodeMessage } from './message.ts';

const MAGIC = 0,
  VERSION = 4,
  TOKEN_LENGTH = 6,
  TENANT = 8,
  TIMELINE = 24,
  CLIENT_ZERO = 40;
const STATUS = 4,
  MESSAGE_LENGTH = 8;

/** What a client says first: which timeline it is going to read. */
export interface ClientHello {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
}

/** The fixed part of a client hello; a token of `tokenLength` bytes follows. */
export interface ReceivedClientHello extends ClientHello {
  /** 0: no token was sent. At most {@link HELLO_TOKEN_LENGTH_MAX}. Unit: bytes. */
  readonly tokenLength: number;
}

/** A client hello, with the token after its 64 bytes when one is given, in a buffer of its own. */
export function encodeClientHello(hello: ClientHello, token = ''): Uint8Array {
  assert(token.length <= HELLO_TOKEN_LENGTH_MAX, 'a token fits into a hello');
  const bytes = Buffer.alloc(CLIENT_HELLO_LENGTH + token.length);
  bytes.writeUInt32LE(PAGE_PROTOCOL_MAGIC, MAGIC);
  bytes.writeUInt16LE(token === '' ? PAGE_PROTOCOL_VERSION : PAGE_PROTOCOL_VERSION_WITH_TOKEN, VERSION);
  bytes.writeUInt16LE(token.length, TOKEN_LENGTH);
  bytes.write(token, CLIENT_HELLO_LENGTH, 'latin1');
  bytes.write(hello.tenant, TENANT, 'hex');
  bytes.write(hello.timeline, TIMELINE, 'hex');
  return bytes;
}

/**
 * Reads the 64 bytes of a client hello, without the token that may follow.
 * @param source names the peer in errors
 * @throws CorruptionError when it is not a hello, or one of a version this code does not speak
 */
export function decodeClientHello(bytes: Uint8Array, source: string): ReceivedClientHello {
  if (bytes.length !== CLIENT_HELLO_LENGTH)
    throw new CorruptionError(`a client hello of ${bytes.length} bytes, expected ${CLIENT_HELLO_LENGTH}`, { source });
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.readUInt32LE(MAGIC);
  if (magic !== PAGE_PROTOCOL_MAGIC)
    throw new CorruptionError(`magic 0x${magic.toString(16)} is not a page protocol hello`, { source, offset: MAGIC });
  const version = view.readUInt16LE(VERSION);
  const withToken = version === PAGE_PROTOCOL_VERSION_WITH_TOKEN;
  if (!withToken && version !== PAGE_PROTOCOL_VERSION)
    throw new CorruptionError(
      `page protocol version ${version} is not spoken here, expected ${PAGE_PROTOCOL_VERSION} or ${PAGE_PROTOCOL_VERSION_WITH_TOKEN}`,
      { source, offset: VERSION },
    );
  const tokenLength = view.readUInt16LE(TOKEN_LENGTH);
  if (withToken && (tokenLength === 0 || tokenLength > HELLO_TOKEN_LENGTH_MAX))
    throw new CorruptionError(`a token of ${tokenLength} bytes, expected 1 to ${HELLO_TOKEN_LENGTH_MAX}`, {
      source,
      offset: TOKEN_LENGTH,
    });
  if ((!withToken && tokenLength !== 0) || !view.subarray(CLIENT_ZERO).every((byte) => byte === 0))
    throw new CorruptionError('reserved bytes of a client hello are not zero', { source, offset: TOKEN_LENGTH });
  return {
    tenant: view.toString('hex', TENANT, TIMELINE) as TenantId,
    timeline: view.toString('hex', TIMELINE, CLIENT_ZERO) as TimelineId,
    tokenLength,
  };
}

/** A server hello with its message (cut to its bound), in a buffer of its own. Status ok welcomes; after any other the server closes. */
export function encodeServerHello(status: number, message = ''): Uint8Array {
  const text = encodeMessage(message);
  const bytes = Buffer.alloc(SERVER_HELLO_LENGTH + text.length);
  bytes.writeUInt32LE(PAGE_PROTOCOL_MAGIC, MAGIC);
  bytes.writeUInt32LE(status, STATUS);
  bytes.writeUInt32LE(text.length, MESSAGE_LENGTH);
  bytes.set(text, SERVER_HELLO_LENGTH);
  return bytes;
}

/** The fixed part of a server hello; its message of `messageLength` bytes follows. */
export interface ServerHello {
  readonly status: number;
  readonly messageLength: number;
}

/**
 * Reads the fixed 16 bytes of a server hello at `offset`.
 * @param source names the peer in errors
 * @throws CorruptionError when it is not one
 */
export function decodeServerHello(view: DataView, offset: number, source: string): ServerHello {
  const magic = view.getUint32(offset + MAGIC, true);
  if (magic !== PAGE_PROTOCOL_MAGIC)
    throw new CorruptionError(`magic 0x${magic.toString(16)} is not a page protocol hello`, { source, offset });
  const messageLength = view.getUint32(offset + MESSAGE_LENGTH, true);
  if (messageLength > MESSAGE_LENGTH_MAX)
    throw new CorruptionError(`a hello message of ${messageLength} bytes, at most ${MESSAGE_LENGTH_MAX} are allowed`, {
      source,
      offset,
    });
  return { status: view.getUint32(offset + STATUS, true), messageLength };
}
