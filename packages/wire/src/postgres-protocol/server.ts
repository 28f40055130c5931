import type { Socket } from 'node:net';
import { CopyBothStream, type CopyDataHandler } from './copy-both.ts';
import { PostgresProtocolError, PostgresServerError } from './errors.ts';
import { adopt, inTurns, type ReadInto } from './kept-buffer.ts';
import { MessageFramer } from './message-framer.ts';
import {
  AUTHENTICATION_CLEARTEXT_PASSWORD,
  CANCEL_REQUEST,
  GSSENC_REQUEST,
  MessageType,
  PROTOCOL_VERSION_3,
  SSL_REQUEST,
  cString,
  decodeStrings,
  encodeError,
  encodeMessage,
} from './messages.ts';

/** Bound on a startup message, as PostgreSQL's MAX_STARTUP_PACKET_LENGTH. Unit: bytes. */
const STARTUP_LENGTH_MAX = 10_000;

/** Bound on a password message: it is read before anybody is known. Unit: bytes. */
const PASSWORD_LENGTH_MAX = 4_096;

/** Default of {@link PostgresSessionOptions.lingerMs}. */
const LINGER_MS = 10_000;

/** Type oids a row description names. PG: pg_type.dat. */
export const TypeOid = { text: 25, int4: 23, int8: 20 } as const;

/** One column of a result. */
export interface Column {
  readonly name: string;
  readonly type: (typeof TypeOid)[keyof typeof TypeOid];
}

/** What a service does with a connection that speaks PostgreSQL's protocol. A PostgresServerError thrown by either becomes an ErrorResponse. */
export interface PostgresSessionHandlers {
  /**
   * Left out: everybody is let in. Else a password in clear is asked for after the startup message, and nothing further is read until this has resolved; rejecting ends the connection
   * with a FATAL error.
   */
  authenticate?(parameters: ReadonlyMap<string, string>, password: string, session: PostgresSession): Promise<void>;
  /** The startup message came, and whoever sent it was let in. Throwing ends the connection with a FATAL error. May return parameters to report (server_version …). */
  startup(parameters: ReadonlyMap<string, string>, session: PostgresSession): Readonly<Record<string, string>>;
  /** One simple query. Answers through `session`; when it settles outside of CopyBoth mode, ReadyForQuery follows. */
  query(sql: string, session: PostgresSession): Promise<void> | void;
  /** The connection is gone; with the reason when it did not end in order. Called exactly once. */
  closed(session: PostgresSession, reason: Error | undefined): void;
}

/** Bounds of a session. */
export interface PostgresSessionOptions {
  /** Longest message accepted. Unit: bytes. */
  readonly messageLengthMax: number;
  /** How long a client may take for its startup message. Unit: ms. */
  readonly startupTimeoutMs: number;
  /** How long a client may take to read what was sent to it before this side ended the connection: then the rest is dropped. Unit: ms. Default: 10,000 */
  readonly lingerMs?: number;
}

/** The server's side of one connection in PostgreSQL's protocol version 3: startup without authentication or with a password in clear, simple queries one at a time, CopyBoth. */
export class PostgresSession {
  readonly #socket: Socket;
  readonly #handlers: PostgresSessionHandlers;
  readonly #framer: MessageFramer;
  readonly #lingerMs: number;
  /** What arrived and is not read yet; undefined once the session has started. */
  #startupBytes: Buffer | undefined = Buffer.alloc(0);
  /** Where the next bytes are read to while that is not the framer's space. */
  #startupSpace: Buffer | undefined;
  /** The parameters of a startup message that waits for its password. */
  #parameters: ReadonlyMap<string, string> | undefined;
  #startupTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;
  #copyHandler: CopyDataHandler | undefined;
  #copyEnded: (() => void) | undefined;
  #copying = false;
  #busy = false;
  /** This side has ended the connection: nothing that comes is looked at, nothing more is sent. */
  #ended = false;
  #failure: Error | undefined;

  /** Takes over `accepted`, which just was. */
  constructor(accepted: Socket, handlers: PostgresSessionHandlers, options: PostgresSessionOptions) {
    this.#handlers = handlers;
    this.#lingerMs = options.lingerMs ?? LINGER_MS;
    this.#framer = new MessageFramer(options.messageLengthMax, (type, bytes, view, offset, length) =>
      this.#receive(type, bytes, view, offset, length),
    );
    const into: ReadInto = {
      // What comes before the session has started has memory of its own: the framer gets the rest of it while the socket may have been told already where to read next.
      buffer: () => {
        this.#startupSpace = this.#startupBytes === undefined ? undefined : Buffer.allocUnsafe(STARTUP_LENGTH_MAX);
        return this.#startupSpace ?? this.#framer.space;
      },
      callback: (count) => {
        this.#take(this.#startupSpace?.subarray(0, count) ?? count);
        return true;
      },
    };
    const adopted = adopt(
      accepted,
      inTurns(into, () => this.#socket),
    );
    const socket = adopted ?? accepted;
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#startupTimer = setTimeout(
      () => this.fail(new PostgresProtocolError('connection-timeout', 'no startup message came in time')),
      options.startupTimeoutMs,
    );
    if (adopted === undefined) socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => {
      this.#failure ??= error;
    });
    socket.on('close', () => {
      clearTimeout(this.#startupTimer);
      clearTimeout(this.#lingerTimer);
      handlers.closed(this, this.#failure);
    });
  }

  /** The peer's address, for logs. */
  get peer(): string {
    return `${this.#socket.remoteAddress ?? '?'}:${this.#socket.remotePort ?? '?'}`;
  }

  /** True from {@link fail} or {@link close} on: nothing is sent any more, `closed` is still to come. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** Sends a whole result: its row description, its rows and the command tag. */
  sendResult(columns: readonly Column[], rows: readonly (readonly (string | null)[])[], tag: string): void {
    const parts: Buffer[] = [
      encodeMessage(MessageType.rowDescription, int16(columns.length), ...columns.map(encodeColumn)),
    ];
    for (const row of rows) parts.push(encodeMessage(MessageType.dataRow, int16(row.length), ...row.map(encodeValue)));
    parts.push(encodeMessage(MessageType.commandComplete, cString(tag)));
    this.#write(...parts);
  }

  /**
   * Enters CopyBoth mode; `handler` gets every CopyData of the client until {@link endCopy} or the connection's end. `ended` is called when the client ends the
   * copy, whereupon nothing more may be sent to the stream.
   */
  startCopyBoth(handler: CopyDataHandler, ended?: () => void): CopyBothStream {
    this.#copyHandler = handler;
    this.#copyEnded = ended;
    this.#copying = true;
    this.#write(encodeMessage(MessageType.copyBothResponse, Buffer.of(0), int16(0)));
    return new CopyBothStream(this.#socket, this.#framer);
  }

  /** Leaves CopyBoth mode in order: CopyDone, the command tag, ready for the next query. */
  endCopy(tag: string): void {
    this.#copyHandler = undefined;
    this.#copyEnded = undefined;
    this.#copying = false;
    this.#write(
      encodeMessage(MessageType.copyDone),
      encodeMessage(MessageType.commandComplete, cString(tag)),
      readyForQuery(),
    );
  }

  /** Ends the connection with a FATAL ErrorResponse that says why; `closed` gets the same reason. Of what the client sends, or has sent, nothing reaches a handler any more. */
  fail(error: Error): void {
    this.#ended = true;
    this.#failure ??= error;
    if (this.#socket.writable)
      this.#socket.end(
        encodeError('FATAL', error instanceof PostgresServerError ? error.sqlState : '08P01', error.message),
      );
    this.#leave();
  }

  /** Ends the connection in order; as with {@link fail}, nothing reaches a handler any more. */
  close(): void {
    this.#ended = true;
    this.#socket.end();
    this.#leave();
  }

  /** Closes the connection when the last words have left, or after a while: a client that reads nothing does not keep it. */
  #leave(): void {
    this.#lingerTimer ??= setTimeout(() => this.#socket.destroy(), this.#lingerMs);
    this.#socket.destroySoon();
  }

  /** Takes what was read: a chunk, or so many bytes in the framer's space. */
  #take(read: Buffer | number): void {
    if (this.#ended) return;
    try {
      if (typeof read === 'number') this.#framer.received(read);
      else if (this.#startupBytes !== undefined) this.#receiveStartup(read);
      else this.#framer.push(read);
    } catch (error) {
      this.fail(error as Error);
    }
  }

  #receiveStartup(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#startupBytes ?? Buffer.alloc(0), chunk]);
    if (this.#parameters !== undefined) {
      this.#receivePassword(bytes, this.#parameters);
      return;
    }
    while (bytes.length >= 8) {
      const length = bytes.readInt32BE(0);
      if (length < 8 || length > STARTUP_LENGTH_MAX)
        throw new PostgresProtocolError('protocol-violation', `a startup message of ${length} bytes was announced`);
      if (bytes.length < length) break;
      const code = bytes.readInt32BE(4);
      if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
        this.#write(Buffer.from('N'));
        bytes = bytes.subarray(length);
        continue;
      }
      if (code === CANCEL_REQUEST) {
        this.close();
        return;
      }
      if (code >>> 16 !== PROTOCOL_VERSION_3 >>> 16)
        throw new PostgresServerError(
          '0A000',
          `protocol version ${code >>> 16}.${code & 0xffff} is not supported: expected 3.x`,
        );
      const parameters = decodeParameters(decodeStrings(bytes, 8, length - 8));
      const rest = bytes.subarray(length);
      if (this.#handlers.authenticate === undefined) {
        this.#started(parameters, rest);
        return;
      }
      this.#parameters = parameters;
      this.#startupBytes = Buffer.alloc(0);
      const method = Buffer.alloc(4);
      method.writeInt32BE(AUTHENTICATION_CLEARTEXT_PASSWORD);
      this.#write(encodeMessage(MessageType.authentication, method));
      if (rest.length > 0) this.#receiveStartup(rest);
      return;
    }
    this.#startupBytes = bytes;
  }

  /** PasswordMessage: type 'p', length i32 that counts itself, the password, a zero byte. Its length is checked before any more of it is kept than has arrived. */
  #receivePassword(bytes: Buffer, parameters: ReadonlyMap<string, string>): void {
    this.#startupBytes = bytes;
    if (bytes.length >= 1 && bytes[0] !== MessageType.password)
      throw new PostgresProtocolError('protocol-violation', 'another message came where a password was asked for');
    if (bytes.length < 5) return;
    const length = bytes.readInt32BE(1);
    if (length < 5 || length > PASSWORD_LENGTH_MAX)
      throw new PostgresProtocolError('protocol-violation', `a password message of ${length} bytes was announced`);
    if (bytes.length < 1 + length) return;
    const password = decodeStrings(bytes, 5, length - 4)[0] ?? '';
    const rest = bytes.subarray(1 + length);
    this.#socket.pause();
    void this.#authenticate(parameters, password, rest);
  }

  async #authenticate(parameters: ReadonlyMap<string, string>, password: string, rest: Buffer): Promise<void> {
    try {
      await this.#handlers.authenticate?.(parameters, password, this);
      if (this.#socket.destroyed || this.#ended) return;
      this.#socket.resume();
      this.#started(parameters, rest);
    } catch (error) {
      // Stays paused: what a peer sends that was refused is neither kept nor looked at.
      this.fail(error as Error);
    }
  }

  #started(parameters: ReadonlyMap<string, string>, rest: Buffer): void {
    this.#startupBytes = undefined;
    this.#parameters = undefined;
    clearTimeout(this.#startupTimer);
    const report = this.#handlers.startup(parameters, this);
    const authenticationOk = encodeMessage(MessageType.authentication, Buffer.alloc(4));
    const statuses = Object.entries(report).map(([name, value]) =>
      encodeMessage(MessageType.parameterStatus, cString(name), cString(value)),
    );
    this.#write(authenticationOk, ...statuses, readyForQuery());
    if (rest.length > 0) this.#framer.push(rest);
  }

  #receive(type: number, bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    if (this.#ended) return; // by what came before it in the same chunk
    switch (type) {
      case MessageType.copyData:
        if (!this.#copying) throw new PostgresProtocolError('protocol-violation', 'copy data came outside of a copy');
        this.#copyHandler?.(bytes, view, offset, length);
        return;
      case MessageType.copyDone:
      case MessageType.copyFail:
        if (!this.#copying) return;
        this.#copyEnded?.();
        this.endCopy('COPY 0');
        return;
      case MessageType.query:
        if (this.#busy || this.#copying)
          throw new PostgresProtocolError('protocol-violation', 'a query came while another command was under way');
        this.#busy = true;
        void this.#query(decodeStrings(bytes, offset, length)[0] ?? '');
        return;
      case MessageType.terminate:
        this.close();
        return;
      default:
        throw new PostgresServerError('08P01', `a message of type 0x${type.toString(16)} is not supported here`);
    }
  }

  async #query(sql: string): Promise<void> {
    try {
      await this.#handlers.query(sql, this);
      this.#busy = false;
      if (!this.#copying) this.#write(readyForQuery());
    } catch (error) {
      this.#busy = false;
      if (error instanceof PostgresServerError && !this.#copying)
        this.#write(encodeError('ERROR', error.sqlState, error.message), readyForQuery());
      else this.fail(error as Error);
    }
  }

  /** Sends `parts`, unless the connection is over: what is written then would take it away before its last words have left. */
  #write(...parts: readonly Buffer[]): void {
    if (this.#socket.writable) this.#socket.write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
  }
}

function decodeParameters(strings: readonly string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  for (let i = 0; i + 1 < strings.length && strings[i] !== ''; i += 2)
    parameters.set(strings[i] ?? '', strings[i + 1] ?? '');
  return parameters;
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value, 0);
  return bytes;
}

function readyForQuery(): Buffer {
  return encodeMessage(MessageType.readyForQuery, Buffer.from('I'));
}

// name, zero byte, table oid i32, attribute number i16, type oid i32, type size i16, type modifier i32, format i16
function encodeColumn(column: Column): Buffer {
  const rest = Buffer.alloc(18);
  rest.writeInt32BE(column.type, 6);
  rest.writeInt16BE(column.type === TypeOid.text ? -1 : column.type === TypeOid.int4 ? 4 : 8, 10);
  rest.writeInt32BE(-1, 12);
  return Buffer.concat([cString(column.name), rest]);
}

function encodeValue(value: string | null): Buffer {
  const length = Buffer.allocUnsafe(4);
  if (value === null) {
    length.writeInt32BE(-1, 0);
    return length;
  }
  const text = Buffer.from(value, 'utf8');
  length.writeInt32BE(text.length, 0);
  return Buffer.concat([length, text]);
}
