import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { parseLsn, type Lsn, type SystemId } from '@zenith/base';
import { encodeXLogDataHeader, PostgresSession, TypeOid } from '@zenith/wire';
import type { SafekeeperAddress } from '../options.ts';

/** Serves WAL that is there over physical replication, as a safekeeper does. */
export class WalServer {
  readonly #server: Server;
  /** Where each stream that was asked for begins. */
  readonly streams: readonly Lsn[];

  private constructor(server: Server, streams: readonly Lsn[]) {
    this.#server = server;
    this.streams = streams;
  }

  /** Begins to listen. @param wal what lies from `start` on */
  static async start(systemId: SystemId, start: Lsn, wal: Uint8Array): Promise<WalServer> {
    const streams: Lsn[] = [];
    const end = (start + wal.length) as Lsn;
    const query = (sql: string, session: PostgresSession): void => {
      const from = /^START_REPLICATION PHYSICAL (\S+) /.exec(sql)?.[1];
      if (from === undefined) {
        session.sendResult([{ name: 'systemid', type: TypeOid.text }], [[systemId]], 'IDENTIFY_SYSTEM');
        return;
      }
      const lsn = parseLsn(from);
      streams.push(lsn);
      session.startCopyBoth(() => undefined).send(encodeXLogDataHeader(lsn, end, Date.now()), wal.slice(lsn - start));
    };
    const handlers = { startup: () => ({}), query, closed: () => undefined };
    const limits = { messageLengthMax: 1 << 20, startupTimeoutMs: 60_000 };
    const server = createServer((socket) => new PostgresSession(socket, handlers, limits));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new WalServer(server, streams);
  }

  /** Where it is. */
  get address(): SafekeeperAddress {
    return { id: 1, host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port, httpPort: 0 };
  }

  /** Listens no longer. */
  close(): void {
    this.#server.close();
  }
}
