import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn, type SystemId } from '@zenith/base';
import { nodeId, type NodeId, type TimelineIdentity } from '@zenith/consensus';
import { EVERY_MAJOR, chownTree, StockPostgres, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import {
  decodeWalSenderMessage,
  encodeStatusUpdate,
  PostgresClient,
  PostgresServerError,
  walSenderMessage,
} from '@zenith/wire';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { parseConfiguration } from './configuration/configuration.ts';
import { ControlFile } from './control-file/control-file.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';
import {
  connectTo,
  readWal,
  TestProposer,
  type Address,
  type WalSource,
} from './testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity } from './testing/test-wal.test-support.ts';
import { recoverWal } from './wal-storage/recovery.ts';
import { Segments } from './wal-storage/segments.ts';

const SEGMENT_SIZE = 16 * 1024 * 1024;
/** Where a fresh cluster's WAL begins. */
const START = SEGMENT_SIZE as Lsn;

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What a stock server streams, kept in memory. */
class StreamedWal implements WalSource {
  #bytes = Buffer.alloc(128 * 1024 * 1024);
  #length = 0;
  onGrowth: () => void = () => undefined;

  get endLsn(): Lsn {
    return (START + this.#length) as Lsn;
  }

  bytes(begin: Lsn, end: Lsn): Uint8Array {
    return this.#bytes.subarray(begin - START, end - START);
  }

  async follow(port: number): Promise<PostgresClient> {
    const client = await PostgresClient.connect({
      host: '127.0.0.1',
      port,
      parameters: { user: 'postgres', replication: 'true' },
      timeoutMs: 10_000,
    });
    const message = walSenderMessage();
    const stream = await client.copyBoth(
      `START_REPLICATION PHYSICAL ${formatLsn(START)} TIMELINE 1`,
      (bytes, view, offset, length) => {
        decodeWalSenderMessage(view, offset, length, message);
        if (message.kind === 'keepalive') {
          if (message.replyRequested)
            stream.send(
              encodeStatusUpdate(
                { written: this.endLsn, flushed: this.endLsn, applied: this.endLsn },
                false,
                Date.now(),
              ),
            );
          return;
        }
        this.#bytes.set(bytes.subarray(message.walOffset, message.walOffset + message.walLength), this.#length);
        this.#length += message.walLength;
        this.onGrowth();
      },
    );
    return client;
  }
}

/** What a server answers to a command that it cannot do. */
async function refusal(client: PostgresClient, command: string): Promise<{ sqlState: string; message: string }> {
  const error: unknown = await client.query(command).then(
    () => new Error(`${command} was done`),
    (failed: unknown) => failed,
  );
  if (!(error instanceof PostgresServerError)) throw error;
  return { sqlState: error.sqlState, message: error.message };
}

async function startSafekeeper(id: number): Promise<{ readonly safekeeper: Safekeeper; readonly path: string }> {
  const directory = temporaryDirectory();
  cleanups.push(() => directory.remove());
  const { path } = directory;
  const free = { host: '127.0.0.1', port: 0 };
  const configuration = parseConfiguration({ id, listen: free, http: free }, 'test');
  const safekeeper = await Safekeeper.start({
    dataDirectory: path,
    configuration,
    disk: localDisk,
    log: pino({ level: 'silent' }),
    version: '0.0.0',
    nowMs: Date.now,
  });
  return { safekeeper, path };
}

test.each(EVERY_MAJOR)(
  'the WAL of a stock PostgreSQL %i goes through a quorum, is found again to its end, and a stock standby follows a safekeeper',
  async (major) => {
    const server = StockPostgres.create({
      major,
      settings: { wal_level: 'replica', wal_sender_timeout: '0', wal_keep_size: '1GB', max_wal_size: '1GB' },
    });
    cleanups.push(() => server.remove());
    const copy = temporaryDirectory('zenith-pg-');
    cleanups.push(() => copy.remove());
    const standbyDirectory = join(copy.path, 'data');
    mkdirSync(standbyDirectory, { mode: 0o700 });
    cpSync(server.dataDirectory, standbyDirectory, { recursive: true });
    await server.start();
    const [row] = await server.query('select system_identifier::text as id from pg_control_system()');
    const identity: TimelineIdentity = {
      ...testIdentity(START),
      pgMajor: major,
      segmentSize: SEGMENT_SIZE,
      systemId: (row as { id: string }).id as SystemId,
    };

    const stopped = await startSafekeeper(1);
    const nodes = [stopped, await startSafekeeper(2), await startSafekeeper(3)];
    for (const { safekeeper } of nodes) cleanups.push(() => safekeeper.stop());
    const addresses = new Map<NodeId, Address>(
      nodes.map(({ safekeeper }, i) => [nodeId(i + 1), safekeeper.addresses.listen]),
    );
    const wal = new StreamedWal();
    const proposer = new TestProposer(identity, testConfiguration(3), addresses, () => wal);
    cleanups.push(() => proposer.close());
    await proposer.connect();
    await proposer.until(({ synced }) => synced);
    wal.onGrowth = () => proposer.offer();
    const stream = await wal.follow(server.port);
    cleanups.push(() => stream.destroy());

    await server.query('create table t (id int primary key, v text)');
    await server.query('insert into t select g, repeat(md5(g::text), 1 + g % 40) from generate_series(1, 20000) g');
    await server.query('select pg_switch_wal()');
    await server.query('update t set v = v || id where id % 7 = 0');
    await server.query('checkpoint');
    await server.query('select pg_switch_wal()');
    // A record longer than a segment.
    await server.query("select pg_logical_emit_message(true, 'zenith', repeat('x', 20000000))");
    await server.query("insert into t values (0, 'last')");
    const [flushed] = await server.query('select pg_current_wal_flush_lsn()::text as lsn');
    const end = parseLsn((flushed as { lsn: string }).lsn);
    await proposer.until(({ commitLsn }) => commitLsn >= end);
    await proposer.until(({ acceptors }) => acceptors.every(({ flushLsn }) => (flushLsn ?? 0) >= end));
    const { commitLsn } = proposer.core.state;
    for (const address of addresses.values())
      expect(Buffer.compare(await readWal(address, identity, START, commitLsn), wal.bytes(START, commitLsn))).toBe(0);

    // What PostgreSQL cannot give of its one timeline, a safekeeper cannot either, and says it in the same words.
    const stock = await PostgresClient.connect({
      host: '127.0.0.1',
      port: server.port,
      parameters: { user: 'postgres', replication: 'true' },
      timeoutMs: 10_000,
    });
    cleanups.push(() => stock.destroy());
    const ours = await connectTo(addresses.get(nodeId(2)) as Address, identity);
    cleanups.push(() => ours.destroy());
    for (const pgTimeline of [0, 1, 2, 0xabcdef01]) {
      const command = `TIMELINE_HISTORY ${pgTimeline}`;
      expect(await refusal(ours, command)).toEqual(await refusal(stock, command));
    }

    // A standby made of the cluster's files before all that.
    writeFileSync(join(standbyDirectory, 'standby.signal'), '');
    const { host, port } = addresses.get(nodeId(2)) as Address;
    const conninfo = `host=${host} port=${port} user=standby options='-c zenith.tenant=${identity.tenant} -c zenith.timeline=${identity.timeline}'`;
    appendFileSync(
      join(standbyDirectory, 'postgresql.conf'),
      `primary_conninfo = '${conninfo.replaceAll("'", "''")}'\n`,
    );
    chownTree(copy.path, unprivilegedUser());
    const standby = StockPostgres.create({ major, dataDirectory: standbyDirectory });
    await standby.start();
    cleanups.push(() => standby.stop());
    await expect
      .poll(
        async () =>
          (await standby
            .query('select pg_last_wal_replay_lsn()::text as lsn')
            .then(([replayed]) => parseLsn((replayed as { lsn: string | null }).lsn ?? '0/0'))) >= end,
        { timeout: 60_000, interval: 200 },
      )
      .toBe(true);
    const digest = "select count(*)::text as count, md5(string_agg(id || v, ',' order by id)) as digest from t";
    expect(await standby.query(digest)).toEqual(await server.query(digest));

    // The end of all that WAL is found again from its very beginning.
    await stopped.safekeeper.stop();
    const directory = join(stopped.path, 'tenants', identity.tenant, identity.timeline);
    const control = new ControlFile(localDisk, directory).load();
    expect(control?.commitLsn).toBeGreaterThanOrEqual(end);
    if (control !== undefined)
      expect(
        await recoverWal(new Segments(localDisk, directory, SEGMENT_SIZE), { ...control, commitLsn: START }, false),
      ).toBeGreaterThanOrEqual(end);
  },
);
