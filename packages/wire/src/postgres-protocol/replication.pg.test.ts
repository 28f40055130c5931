import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { StockPostgres } from '@zenith/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresClient } from './client.ts';
import { decodeWalSenderMessage, encodeStatusUpdate, walSenderMessage } from './replication.ts';

let server: StockPostgres;
beforeAll(async () => {
  server = StockPostgres.create({
    major: 18,
    settings: { synchronous_standby_names: 'proposer', wal_level: 'replica' },
  });
  await server.start();
});
afterAll(() => server.remove());

test('follows a stock server as its synchronous standby, byte for byte, and its shutdown ends the stream in order', async () => {
  const client = await PostgresClient.connect({
    host: '127.0.0.1',
    port: server.port,
    parameters: { user: 'postgres', replication: 'true', application_name: 'proposer' },
    timeoutMs: 10_000,
  });
  const identity = await client.query('IDENTIFY_SYSTEM');
  const position = parseLsn(identity.rows[0]?.[2] ?? '');
  const start = (position - (position % (16 * 1024 * 1024))) as Lsn;
  const received: Buffer[] = [];
  let end: Lsn = start;
  const message = walSenderMessage();
  const stream = await client.copyBoth(
    `START_REPLICATION PHYSICAL ${formatLsn(start)}`,
    (bytes, view, offset, length) => {
      decodeWalSenderMessage(view, offset, length, message);
      if (message.kind === 'xlog-data') {
        expect(message.startLsn).toBe(end);
        received.push(Buffer.from(bytes.subarray(message.walOffset, message.walOffset + message.walLength)));
        end = (end + message.walLength) as Lsn;
      }
      stream.send(encodeStatusUpdate({ written: end, flushed: end, applied: end }, false, Date.now()));
    },
  );
  await server.query('create table t as select g, repeat(md5(g::text), 10) s from generate_series(1, 5000) g');
  await server.stop();
  expect(await client.closed).toBeUndefined();
  const segment = readFileSync(
    join(
      server.dataDirectory,
      'pg_wal',
      `0000000100000000${formatLsn(start).split('/')[1]?.padStart(8, '0').slice(0, 2).padStart(8, '0')}`,
    ),
  );
  const all = Buffer.concat(received);
  expect(all.length).toBeGreaterThan(1_000_000);
  expect(all.subarray(0, segment.length).equals(segment.subarray(0, all.length))).toBe(true);
});
