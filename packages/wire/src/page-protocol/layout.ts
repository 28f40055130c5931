/**
 * The page protocol: the preload library and the supervisor ask a pageserver for pages (docs/architecture.md). Little-endian. The C side is
 * packages/compute/preload/src/protocol.h.
 *
 *   client hello, 64 B:  magic u32 @0 | version u16 @4 | token length u16 @6 | tenant 16 B @8 | timeline 16 B @24 | 24 B zero, then the token (ASCII);
 *                        version 1 has no token and token length 0, version 2 has one
 *   server hello, 16 B:  magic u32 @0 | status u32 @4 | message length u32 @8 | 0 u32, then the message
 *   request, 48 B:       type u32 @0 | request id u32 @4 | lsn u64 @8 | spc u32 @16 | db u32 @20 | rel u32 @24 | fork u32 @28 | block u32 @32 |
 *                        count u32 @36 | 8 B zero
 *   response, 16 B:      request id u32 @0 | status u32 @4 | count u32 @8 | length u32 @12, then length bytes
 */

/** First four bytes of both hellos: `ZPG1`. */
export const PAGE_PROTOCOL_MAGIC = 0x3147505a;

/** The version of a hello without a token. */
export const PAGE_PROTOCOL_VERSION = 1;

/** The version of a hello with a token; all else is as in version 1. */
export const PAGE_PROTOCOL_VERSION_WITH_TOKEN = 2;

/** Bound on the token after a client hello. Unit: bytes. */
export const HELLO_TOKEN_LENGTH_MAX = 2048;

/** Unit: bytes. */
export const CLIENT_HELLO_LENGTH = 64;

/** Without the message that follows it; as long as a response header, so that a client has one receive path. Unit: bytes. */
export const SERVER_HELLO_LENGTH = 16;

/** Unit: bytes. */
export const REQUEST_LENGTH = 48;

/** Without the pages or the message that follow it. Unit: bytes. */
export const RESPONSE_HEADER_LENGTH = 16;

/** Bound on a message in a server hello or a response. Unit: bytes of UTF-8. */
export const MESSAGE_LENGTH_MAX = 1024;

/** The only request type of version 1: GetPages. */
export const REQUEST_GET_PAGES = 1;

/** Bound on the pages of one request. */
export const PAGES_PER_REQUEST_MAX = 128;

/** Size of a page on the wire. Unit: bytes. PG: BLCKSZ, pg_config.h. */
export const PAGE_LENGTH = 8192;

/** How a server answers a hello or a request. */
export const PageStatus = {
  ok: 0,
  /** The request itself is wrong; repeating it cannot help. */
  badRequest: 1,
  noSuchTimeline: 2,
  /** Not ingested in time, or below the kept history. */
  lsnNotAvailable: 3,
  noSuchBlock: 4,
  /** The page's history cannot be redone. */
  pageNotRebuilt: 5,
  /** The server goes away or is not ready; the same request will do later or elsewhere. */
  shuttingDown: 6,
  /** A token is required, or the one that was shown is not good for this timeline. */
  unauthorized: 7,
} as const;

/** One of {@link PageStatus}. */
export type PageStatus = (typeof PageStatus)[keyof typeof PageStatus];
