import { lsn as toLsn, readLsnBigEndian, writeLsnBigEndian, type Lsn } from '@zenith/base';
import { PostgresProtocolError } from './errors.ts';

// What CopyData carries in streaming replication, big-endian; times are microseconds since 2000-01-01.  PG 18: protocol.sgml, "Streaming Replication Protocol"
//   XLogData:      'w' | start u64 @1 | end of WAL on the server u64 @9 | time i64 @17 | WAL @25
//   keepalive:     'k' | end of WAL on the server u64 @1 | time i64 @9 | reply wanted u8 @17
//   status update: 'r' | written u64 @1 | flushed u64 @9 | applied u64 @17 | time i64 @25 | reply wanted u8 @33
const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
const STATUS_UPDATE = 0x72;

/** Bytes before the WAL in an XLogData message. */
export const XLOG_DATA_HEADER_LENGTH = 25;

const KEEPALIVE_LENGTH = 18;
const STATUS_UPDATE_LENGTH = 34;
const POSTGRES_EPOCH_MS = 946_684_800_000;

function writeTime(view: DataView, offset: number, unixMs: number): void {
  view.setBigInt64(offset, BigInt(Math.round(unixMs - POSTGRES_EPOCH_MS)) * 1000n, false);
}

/** A decoded message of a walsender; reused. The WAL of `xlog-data` lies at (walOffset, walLength) of the bytes that were decoded. */
export interface WalSenderMessage {
  kind: 'xlog-data' | 'keepalive';
  /** Where the WAL begins; only of `xlog-data`. */
  startLsn: Lsn;
  /** The end of WAL on the server. */
  serverLsn: Lsn;
  /** Only of `keepalive`: the server wants a status update at once. */
  replyRequested: boolean;
  walOffset: number;
  walLength: number;
}

/** A scratch for {@link decodeWalSenderMessage}. */
export function walSenderMessage(): WalSenderMessage {
  return {
    kind: 'keepalive',
    startLsn: toLsn(0),
    serverLsn: toLsn(0),
    replyRequested: false,
    walOffset: 0,
    walLength: 0,
  };
}

/** Decodes what a walsender put in a CopyData message into `into`. @throws PostgresProtocolError `protocol-violation` */
export function decodeWalSenderMessage(view: DataView, offset: number, length: number, into: WalSenderMessage): void {
  const type = length > 0 ? view.getUint8(offset) : 0;
  if (type === XLOG_DATA && length >= XLOG_DATA_HEADER_LENGTH) {
    into.kind = 'xlog-data';
    into.startLsn = readLsnBigEndian(view, offset + 1);
    into.serverLsn = readLsnBigEndian(view, offset + 9);
    into.replyRequested = false;
    into.walOffset = offset + XLOG_DATA_HEADER_LENGTH;
    into.walLength = length - XLOG_DATA_HEADER_LENGTH;
  } else if (type === KEEPALIVE && length >= KEEPALIVE_LENGTH) {
    into.kind = 'keepalive';
    into.serverLsn = readLsnBigEndian(view, offset + 1);
    into.replyRequested = view.getUint8(offset + 17) !== 0;
    into.walLength = 0;
  } else {
    throw new PostgresProtocolError(
      'protocol-violation',
      `a replication message of type 0x${type.toString(16)} and ${length} bytes arrived`,
    );
  }
}

/** The 25 bytes that precede the WAL in an XLogData message. A new buffer. */
export function encodeXLogDataHeader(startLsn: Lsn, serverLsn: Lsn, nowMs: number): Uint8Array {
  const bytes = new Uint8Array(XLOG_DATA_HEADER_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes[0] = XLOG_DATA;
  writeLsnBigEndian(view, 1, startLsn);
  writeLsnBigEndian(view, 9, serverLsn);
  writeTime(view, 17, nowMs);
  return bytes;
}

/** A keepalive of a walsender. A new buffer. */
export function encodeKeepalive(serverLsn: Lsn, replyRequested: boolean, nowMs: number): Uint8Array {
  const bytes = new Uint8Array(KEEPALIVE_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes[0] = KEEPALIVE;
  writeLsnBigEndian(view, 1, serverLsn);
  writeTime(view, 9, nowMs);
  bytes[17] = replyRequested ? 1 : 0;
  return bytes;
}

/** How far a consumer of WAL is. Invariant of the sender: durable claims (flushed, applied) come from fsynced data only. */
export interface StandbyStatus {
  readonly written: Lsn;
  readonly flushed: Lsn;
  readonly applied: Lsn;
}

/** A standby's status update. A new buffer. */
export function encodeStatusUpdate(status: StandbyStatus, replyRequested: boolean, nowMs: number): Uint8Array {
  const bytes = new Uint8Array(STATUS_UPDATE_LENGTH);
  const view = new DataView(bytes.buffer);
  bytes[0] = STATUS_UPDATE;
  writeLsnBigEndian(view, 1, status.written);
  writeLsnBigEndian(view, 9, status.flushed);
  writeLsnBigEndian(view, 17, status.applied);
  writeTime(view, 25, nowMs);
  bytes[33] = replyRequested ? 1 : 0;
  return bytes;
}

/**
 * Decodes a consumer's message: its status, or undefined for a hot-standby feedback, which has no meaning without a primary's snapshot.
 * @throws PostgresProtocolError `protocol-violation`
 */
export function decodeStatusUpdate(
  view: DataView,
  offset: number,
  length: number,
): (StandbyStatus & { readonly replyRequested: boolean }) | undefined {
  const type = length > 0 ? view.getUint8(offset) : 0;
  if (type === 0x68 /* h */) return undefined;
  if (type !== STATUS_UPDATE || length < STATUS_UPDATE_LENGTH)
    throw new PostgresProtocolError(
      'protocol-violation',
      `a standby's message of type 0x${type.toString(16)} and ${length} bytes arrived`,
    );
  return {
    written: readLsnBigEndian(view, offset + 1),
    flushed: readLsnBigEndian(view, offset + 9),
    applied: readLsnBigEndian(view, offset + 17),
    replyRequested: view.getUint8(offset + 33) !== 0,
  };
}
