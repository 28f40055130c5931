import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { lsn, type Lsn } from '@zenith/base';
import { encodeXLogDataHeader, PostgresServerError, PostgresSession, TypeOid, type CopyBothStream } from '@zenith/wire';
import { afterEach, expect, test } from 'vitest';
import { WalForwarder } from './wal-forwarder.ts';

const START = lsn(0x1000000);

/** Answers as a PostgreSQL does whose `refused` first streams of WAL end while they are set up, with this SQL state. */
class FakePostgres {
  readonly #server: Server;
  readonly sqlState: string;
  #refused: number;
  attempts = 0;
  stream: CopyBothStream | undefined;

  constructor(sqlState: string, refused: number) {
    this.sqlState = sqlState;
    this.#refused = refused;
    this.#server = createServer(
      (socket) =>
        new PostgresSession(
          socket,
          {
            startup: () => ({}),
            query: (sql, session) => {
              if (sql.startsWith('READ_REPLICATION_SLOT')) {
                this.attempts++;
                if (this.#refused-- > 0) throw new PostgresServerError(this.sqlState, 'not now');
                session.sendResult(
                  [{ name: 'slot_type', type: TypeOid.text }],
                  [['physical']],
                  'READ_REPLICATION_SLOT',
                );
              } else this.stream = session.startCopyBoth(() => undefined);
            },
            closed: () => undefined,
          },
          { messageLengthMax: 1 << 20, startupTimeoutMs: 5_000 },
        ),
    );
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
  }
}

/** Takes WAL and says nothing. */
class Taker {
  endLsn: Lsn = START;
  readonly commitLsn = START;
  onCommit: (commitLsn: Lsn) => void = () => undefined;
  onTaken: () => void = () => undefined;

  append(_bytes: Uint8Array, _offset: number, length: number): void {
    this.endLsn = lsn(this.endLsn + length);
    this.onTaken();
  }
}

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function forward(
  postgres: FakePostgres,
  proposer: Taker,
  onFailure: (error: Error) => void,
): Promise<WalForwarder> {
  const port = await postgres.listen();
  const log = { info: (): void => undefined, warn: (): void => undefined };
  const forwarder = new WalForwarder({ proposer, host: '127.0.0.1', port, user: 'u', log, onFailure });
  closing.push(
    () => forwarder.close(),
    () => postgres.close(),
  );
  return forwarder;
}

test.each([
  ['it is starting up', '57P03'],
  ['the slot is held by the connection before', '55006'],
  ['all WAL senders are taken', '53300'],
  ['it is being stopped', '57P01'],
  ['a person cancels', '57014'],
])('a stream that PostgreSQL refuses because %s is asked for again', async (_why, sqlState) => {
  const postgres = new FakePostgres(sqlState, 2);
  const proposer = new Taker();
  const failures: Error[] = [];
  const forwarder = await forward(postgres, proposer, (error) => failures.push(error));
  await forwarder.streaming;
  const taken = new Promise<void>((resolve) => (proposer.onTaken = resolve));
  const wal = Buffer.alloc(800, 1);
  postgres.stream?.send(encodeXLogDataHeader(START, lsn(START + wal.length), 0), wal);
  await taken;
  expect(proposer.endLsn).toBe(START + wal.length);
  expect(postgres.attempts).toBe(3);
  expect(failures).toEqual([]);
});

test('a stream that PostgreSQL refuses for a reason that stays is asked for once, and whoever runs the compute is told', async () => {
  const postgres = new FakePostgres('42501', Number.POSITIVE_INFINITY);
  const failure = new Promise<Error>((resolve) => void forward(postgres, new Taker(), resolve));
  expect(await failure).toMatchObject({ sqlState: '42501' });
  expect(postgres.attempts).toBe(1);
});
