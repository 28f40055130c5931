import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const DELAY_MS = 400;

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  const folder = join(zenith.repository, 'computes/main');
  mkdirSync(folder, { recursive: true });
  const backpressure = { ingestLagBytesMax: 1024 * 1024, delayMsMax: DELAY_MS };
  writeFileSync(join(folder, 'compute.json'), JSON.stringify({ backpressure }));
  await zenith.startPostgres('main');
});
afterAll(() => zenith.destroy());

/** A metric of the compute; its HTTP port is the one the test's repository gave it. */
async function metric(name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${zenith.port('main') + 1000}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await response.text())?.[1] ?? Number.NaN);
}

/** Where the pageserver takes WAL from. */
async function setWalSources(safekeepers: readonly object[]): Promise<void> {
  const { pageserverHttpPort } = await zenith.branch('main');
  const headers = { 'content-type': 'application/json' };
  const url = `http://127.0.0.1:${pageserverHttpPort}/v1/safekeepers`;
  expect((await fetch(url, { method: 'POST', headers, body: JSON.stringify({ safekeepers }) })).status).toBe(200);
}

test('commits slow down while the pageserver lags, reads do not, and all is as before when it has caught up', async () => {
  await zenith.query('main', 'create table t (v text)');
  await zenith.query('main', "insert into t values ('here')");
  await expect.poll(() => metric('zenith_compute_ingest_lag_bytes'), { timeout: 60_000 }).toBe(0);
  expect(await metric('zenith_compute_commits_held_total')).toBe(0);
  // The pageserver serves pages, and gets no WAL.
  const { nodes } = await zenith.status();
  const safekeepers = nodes
    .filter(({ service }) => service === 'safekeeper')
    .map(({ id, port, httpPort }) => ({ id, host: '127.0.0.1', port, httpPort }));
  await setWalSources([]);
  try {
    // Twice the limit and more: the delay is at its longest.
    await zenith.query('main', 'insert into t select repeat(md5(g::text), 40) from generate_series(1, 4000) g');
    await expect.poll(() => metric('zenith_compute_commit_delay_seconds'), { timeout: 60_000 }).toBe(DELAY_MS / 1000);
    const client = await zenith.connect();
    const begunMs = performance.now();
    await client.query("insert into t values ('slow')");
    expect(performance.now() - begunMs).toBeGreaterThanOrEqual(DELAY_MS * 0.9);
    const held = await metric('zenith_compute_commits_held_total');
    expect(held).toBeGreaterThan(0);
    expect((await client.query("select count(*)::int as n from t where v = 'here'")).rows).toEqual([{ n: 1 }]);
    await client.end();
  } finally {
    await setWalSources(safekeepers);
  }
  await expect.poll(() => metric('zenith_compute_commit_delay_seconds'), { timeout: 60_000 }).toBe(0);
  await zenith.query('main', "insert into t values ('quick')");
  expect(await zenith.query('main', 'select count(*)::int from t')).toEqual([{ count: 4003 }]);
});
