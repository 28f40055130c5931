import { connect, type Socket } from 'node:net';
import type { Trust } from '@zenith/auth';
import { CopyBothStream, type CopyDataHandler } from './copy-both.ts';
import { PostgresProtocolError, PostgresServerError } from './errors.ts';
import { inTurns } from './kept-buffer.ts';
import { MessageFramer } from './message-framer.ts';
import {
  AUTHENTICATION_CLEARTEXT_PASSWORD,
  AUTHENTICATION_OK,
  MessageType,
  cString,
  decodeErrorFields,
  decodeStrings,
  encodeMessage,
  encodeStartup,
} from './messages.ts';
import { askForTls } from './tls.ts';

/** Bound on one message from a server. PostgreSQL's walsender sends at most 128 KiB of WAL at once; XLOG_BLCKSZ × 16. Unit: bytes. */
const MESSAGE_LENGTH_MAX = 16 * 1024 * 1024;

/** Where to and as whom. */
export interface PostgresClientOptions {
  readonly host: string;
  readonly port: number;
  /** Parameters of the startup message: user, database, replication, options, application_name … */
  readonly parameters: Readonly<Record<string, string>>;
  /** Sent when the server asks for one in clear: the token, where a service requires one. */
  readonly password?: string | undefined;
  /** How the server is known; left out: the connection is plain. */
  readonly trust?: Trust | undefined;
  /** Bound on connecting and starting up. Unit: ms. */
  readonly timeoutMs: number;
  /**
   * Messages are read into one buffer, over and over: for whoever keeps none of their bytes beyond the handler's call, as it is told anyway. Left out: each read has memory of its own, as it has over TLS always.
   */
  readonly keepsNothing?: boolean;
}

/** What a simple query returned: text values, null for NULL. */
export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

interface PendingReply {
  columns: string[];
  rows: (string | null)[][];
  error: Error | undefined;
  readonly copyHandler: CopyDataHandler | undefined;
  readonly resolve: (result: QueryResult | CopyBothStream) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A client of PostgreSQL's protocol as replication needs it: simple queries one at a time, and CopyBoth with flow control. Trust authentication, or a password in clear.
 * `replication=true` makes the server a walsender. PG: libpqwalreceiver.c is the server's own such client.
 */
export class PostgresClient {
  readonly #socket: Socket;
  readonly #framer: MessageFramer;
  readonly #password: string | undefined;
  #pending: PendingReply | undefined;
  #copyHandler: CopyDataHandler | undefined;
  #serverError: Error | undefined;
  #copyCompleted = false;
  #startup: { resolve: () => void; reject: (error: Error) => void } | undefined;
  /** Settles when the connection is gone: with what went wrong, or with nothing when the server or {@link close} ended it in order. */
  readonly closed: Promise<Error | undefined>;

  private constructor(socket: Socket, framer: MessageFramer, password: string | undefined) {
    this.#socket = socket;
    this.#framer = framer;
    this.#password = password;
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure =
        error instanceof PostgresProtocolError || !('code' in error)
          ? error
          : new PostgresProtocolError('connection-failed', `the connection was lost: ${error.message}`, {
              cause: error,
            });
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        // A walsender that is done says CommandComplete and exits at once. A status update that it has not read by then makes the kernel reset the connection.
        // PG 18: walsender.c, WalSndDone()
        const reason = this.#serverError ?? (this.#copyCompleted && isReset(failure) ? undefined : failure);
        const ended = reason ?? new PostgresProtocolError('connection-failed', 'the server closed the connection');
        this.#startup?.reject(ended);
        this.#pending?.reject(ended);
        this.#pending = undefined;
        this.#copyHandler = undefined;
        resolve(reason);
      });
    });
  }

  /**
   * Connects and starts up.
   * @throws PostgresProtocolError when there is no connection in time, PostgresServerError when the server refuses
   */
  static async connect(options: PostgresClientOptions): Promise<PostgresClient> {
    const { host, port, trust, keepsNothing = false } = options;
    let client: PostgresClient | undefined;
    const framer = new MessageFramer(MESSAGE_LENGTH_MAX, (type, bytes, view, offset, length) => {
      if (client !== undefined) client.#receive(type, bytes, view, offset, length);
    });
    const take = (read: Buffer | number): void => {
      try {
        if (typeof read === 'number') framer.received(read);
        else framer.push(read);
      } catch (error) {
        socket.destroy(error as Error);
      }
    };
    const onread = {
      buffer: () => framer.space,
      callback: (count: number) => {
        take(count);
        return true;
      },
    };
    const inPlace = keepsNothing && trust === undefined;
    const plain: Socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      ...(inPlace ? { onread: inTurns(onread, () => plain) } : {}),
    });
    let socket: Socket = plain;
    const timer = setTimeout(() => {
      socket.destroy(
        new PostgresProtocolError(
          'connection-timeout',
          `${host}:${port} did not answer within ${options.timeoutMs} ms`,
        ),
      );
    }, options.timeoutMs);
    try {
      if (trust !== undefined) socket = await askForTls(plain, trust, host);
      const made = new PostgresClient(socket, framer, options.password);
      client = made;
      if (!inPlace) socket.on('data', take);
      await new Promise<void>((resolve, reject) => {
        made.#startup = { resolve, reject };
        const startUp = (): void => void socket.write(encodeStartup(new Map(Object.entries(options.parameters))));
        if (socket === plain) socket.once('connect', startUp);
        else startUp();
      });
      made.#startup = undefined;
      return made;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Runs one simple query. @throws PostgresServerError when the server says no (the connection stays usable), PostgresProtocolError when it is lost */
  async query(sql: string): Promise<QueryResult> {
    const result = await this.#ask(sql, undefined);
    if (result instanceof CopyBothStream)
      throw new PostgresProtocolError('protocol-violation', 'the server began to copy in reply to a query');
    return result;
  }

  /**
   * Runs a command that enters CopyBoth mode (START_REPLICATION …). `handler` gets every CopyData from then on. The copy is the connection's last command: when the server ends it, it ends the connection, with the server's error where there was one.
   * @throws as {@link query}
   */
  async copyBoth(sql: string, handler: CopyDataHandler): Promise<CopyBothStream> {
    const result = await this.#ask(sql, handler);
    if (!(result instanceof CopyBothStream))
      throw new PostgresProtocolError('protocol-violation', 'the server did not enter CopyBoth mode');
    return result;
  }

  /** Ends the connection; {@link closed} settles. Harmless when it is gone already. */
  close(): void {
    if (this.#socket.writable) this.#socket.end(encodeMessage(MessageType.terminate));
    this.#socket.destroySoon();
  }

  /** Cuts the connection without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  #ask(sql: string, copyHandler: CopyDataHandler | undefined): Promise<QueryResult | CopyBothStream> {
    if (this.#pending !== undefined)
      throw new PostgresProtocolError('protocol-violation', 'a query is under way on this connection');
    if (this.#socket.destroyed) throw new PostgresProtocolError('connection-failed', 'the connection is closed');
    return new Promise((resolve, reject) => {
      this.#pending = { columns: [], rows: [], error: undefined, copyHandler, resolve, reject };
      this.#socket.write(encodeMessage(MessageType.query, cString(sql)));
    });
  }

  #receive(type: number, bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    switch (type) {
      case MessageType.copyData:
        this.#copyHandler?.(bytes, view, offset, length);
        return;
      case MessageType.authentication:
        this.#authenticate(view.getInt32(offset, false));
        return;
      case MessageType.errorResponse: {
        const fields = decodeErrorFields(bytes, offset, length);
        const error = new PostgresServerError(fields.get('C') ?? 'XX000', fields.get('M') ?? 'unknown error');
        if (this.#startup !== undefined || this.#copyHandler !== undefined || fields.get('V') === 'FATAL')
          this.#serverError = error;
        if (this.#pending !== undefined) this.#pending.error = error;
        return;
      }
      case MessageType.rowDescription:
        if (this.#pending !== undefined) this.#pending.columns = decodeColumnNames(bytes, view, offset, length);
        return;
      case MessageType.dataRow:
        this.#pending?.rows.push(decodeRow(bytes, view, offset));
        return;
      case MessageType.copyBothResponse: {
        const pending = this.#pending;
        if (pending?.copyHandler === undefined)
          throw new PostgresProtocolError('protocol-violation', 'the server began to copy unasked');
        this.#pending = undefined;
        this.#copyHandler = pending.copyHandler;
        const stream = new CopyBothStream(this.#socket, this.#framer);
        this.#framer.pause(); // the rest of this chunk waits until whoever awaits copyBoth() has the stream
        pending.resolve(stream);
        setImmediate(() => stream.begin());
        return;
      }
      case MessageType.readyForQuery:
        this.#ready();
        return;
      case MessageType.commandComplete:
        this.#copyCompleted = this.#copyHandler !== undefined;
        return;
      case MessageType.backendKeyData:
      case MessageType.copyDone:
      case MessageType.emptyQuery:
      case MessageType.negotiateProtocolVersion:
      case MessageType.noticeResponse:
      case MessageType.parameterStatus:
        return; // nothing in them that replication needs; a copy that is done ends with the connection or with ReadyForQuery, which ends that
      default:
        throw new PostgresProtocolError(
          'protocol-violation',
          `a message of unknown type 0x${type.toString(16)} arrived`,
        );
    }
  }

  #authenticate(method: number): void {
    if (method === AUTHENTICATION_OK) return;
    if (method !== AUTHENTICATION_CLEARTEXT_PASSWORD || this.#password === undefined || this.#startup === undefined)
      throw new PostgresProtocolError(
        'authentication-unsupported',
        this.#password === undefined
          ? 'the server asks for a password, and there is none to give'
          : 'the server asks for another authentication than trust or a password in clear',
      );
    this.#socket.write(encodeMessage(MessageType.password, cString(this.#password)));
  }

  #ready(): void {
    if (this.#startup !== undefined) {
      this.#startup.resolve();
      return;
    }
    if (this.#copyHandler !== undefined) {
      // After an ERROR (pg_cancel_backend, WAL it cannot read) a walsender lives on and waits for the next command, which never comes: whoever copies waits for the connection's end.
      this.#copyHandler = undefined;
      this.#socket.destroy();
      return;
    }
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    if (pending.error === undefined) pending.resolve({ columns: pending.columns, rows: pending.rows });
    else pending.reject(pending.error);
  }
}

function isReset(failure: Error | undefined): boolean {
  const code = (failure?.cause as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNRESET' || code === 'EPIPE';
}

// RowDescription: count i16, per column: name, zero byte, 18 bytes of which nothing is used here.
function decodeColumnNames(bytes: Uint8Array, view: DataView, offset: number, length: number): string[] {
  const names: string[] = [];
  const count = view.getInt16(offset, false);
  const end = offset + length;
  let at = offset + 2;
  for (let i = 0; i < count; i++) {
    const zero = bytes.indexOf(0, at);
    if (zero < 0 || zero + 19 > end)
      throw new PostgresProtocolError('protocol-violation', 'a row description is cut short');
    names.push(decodeStrings(bytes, at, zero + 1 - at)[0] ?? '');
    at = zero + 19;
  }
  return names;
}

// DataRow: count i16, per column: length i32 (-1 for NULL), bytes.
function decodeRow(bytes: Uint8Array, view: DataView, offset: number): (string | null)[] {
  const row: (string | null)[] = [];
  const count = view.getInt16(offset, false);
  let at = offset + 2;
  for (let i = 0; i < count; i++) {
    const length = view.getInt32(at, false);
    at += 4;
    if (length < 0) {
      row.push(null);
      continue;
    }
    row.push(Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString('utf8'));
    at += length;
  }
  return row;
}
