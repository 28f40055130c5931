import { ZenithError } from '@zenith/base';

/**
 * - `connection-failed`: no connection could be made, or it was lost
 * - `connection-timeout`: the peer did not answer in time
 * - `authentication-unsupported`: the server asks for an authentication this client does not speak
 * - `tls-refused`: the server does not speak TLS, and it must
 * - `protocol-violation`: the peer sent what the protocol does not allow there; the connection is closed
 */
export type PostgresProtocolErrorCode =
  | 'connection-failed'
  | 'connection-timeout'
  | 'authentication-unsupported'
  | 'tls-refused'
  | 'protocol-violation';

/** A failure of a connection that speaks PostgreSQL's protocol. */
export class PostgresProtocolError extends ZenithError<PostgresProtocolErrorCode> {
  override readonly name = 'PostgresProtocolError';
}

/** An ErrorResponse: the peer is well and says no. */
export class PostgresServerError extends Error {
  override readonly name = 'PostgresServerError';
  /** Five characters, e.g. `58P01`. PG: errcodes.txt. */
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.sqlState = sqlState;
  }
}
