export { PostgresClient, type PostgresClientOptions, type QueryResult } from './postgres-protocol/client.ts';
export { CopyBothStream, type CopyDataHandler } from './postgres-protocol/copy-both.ts';
export {
  PostgresProtocolError,
  PostgresServerError,
  type PostgresProtocolErrorCode,
} from './postgres-protocol/errors.ts';
export { MessageFramer, type MessageHandler } from './postgres-protocol/message-framer.ts';
export {
  XLOG_DATA_HEADER_LENGTH,
  decodeStatusUpdate,
  decodeWalSenderMessage,
  encodeKeepalive,
  encodeStatusUpdate,
  encodeXLogDataHeader,
  walSenderMessage,
  type StandbyStatus,
  type WalSenderMessage,
} from './postgres-protocol/replication.ts';
export {
  PostgresSession,
  TypeOid,
  type Column,
  type PostgresSessionHandlers,
  type PostgresSessionOptions,
} from './postgres-protocol/server.ts';
export { requireTls } from './postgres-protocol/tls.ts';
export { WalStreamReader } from './postgres-protocol/wal-stream-reader.ts';
export {
  SNAPSHOT_FILE_BYTES_MAX,
  decodeSnapshot,
  encodeSnapshotHeader,
  type SnapshotCheckpoint,
  type SnapshotFile,
  type SnapshotManifest,
  type SnapshotPart,
  type SnapshotRelation,
} from './snapshot/index.ts';
export { formatPageServerAddress, parsePageServerAddress, type PageServerAddress } from './page-protocol/address.ts';
export { PageError, pageErrorOf, type PageErrorCode } from './page-protocol/errors.ts';
export {
  decodeClientHello,
  decodeServerHello,
  encodeClientHello,
  encodeServerHello,
  type ClientHello,
  type ReceivedClientHello,
  type ServerHello,
} from './page-protocol/hello.ts';
export {
  CLIENT_HELLO_LENGTH,
  HELLO_TOKEN_LENGTH_MAX,
  MESSAGE_LENGTH_MAX,
  PAGES_PER_REQUEST_MAX,
  PAGE_LENGTH,
  PAGE_PROTOCOL_MAGIC,
  PAGE_PROTOCOL_VERSION,
  PAGE_PROTOCOL_VERSION_WITH_TOKEN,
  PageStatus,
  REQUEST_GET_PAGES,
  REQUEST_LENGTH,
  RESPONSE_HEADER_LENGTH,
  SERVER_HELLO_LENGTH,
} from './page-protocol/layout.ts';
export { PageClient, REQUESTS_IN_FLIGHT_MAX, type PageClientOptions } from './page-protocol/page-client.ts';
export {
  decodeGetPagesRequest,
  encodeGetPagesRequest,
  newGetPagesRequest,
  type GetPagesRequest,
  type PageRelation,
} from './page-protocol/request.ts';
export {
  decodeResponseHeader,
  encodeFailure,
  encodePagesHeader,
  newResponseHeader,
  type ResponseHeader,
} from './page-protocol/response.ts';
export { decodeAcceptorMessage, decodeProposerMessage } from './proposer-protocol/decode.ts';
export { encodeAcceptorMessage, encodeProposerMessage } from './proposer-protocol/encode.ts';
export {
  APPEND_HEADER_LENGTH,
  APPEND_WAL_LENGTH_MAX,
  PROPOSER_MESSAGE_LENGTH_MAX,
  PROPOSER_PROTOCOL_VERSION,
} from './proposer-protocol/layout.ts';
