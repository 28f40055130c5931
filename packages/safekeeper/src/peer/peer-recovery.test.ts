import { formatLsn, type Lsn } from '@zenith/base';
import { nodeId, type NodeId } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Clock } from '../clock/clock.ts';
import { parseConfiguration } from '../configuration/configuration.ts';
import { localDisk } from '../disk/local-disk.ts';
import { Safekeeper } from '../safekeeper.ts';
import { readWal, TestProposer } from '../testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { timelineMetrics } from '../timeline/metrics.ts';
import { TimelineRegistry } from '../timeline/registry.ts';
import { recoveryMetrics } from './metrics.ts';
import { PeerRecovery } from './peer-recovery.ts';
import type { Peer } from './peer.ts';
import { RemotePeer } from './remote-peer.ts';

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const [ONE, TWO, THREE] = [nodeId(1), nodeId(2), nodeId(3)];
const POLL = { timeout: 30_000 };
const LISTEN = { host: '127.0.0.1', port: 0 };

/** Three safekeepers that can be stopped and started again, each with the addresses of those that run. */
class Trio {
  readonly identity = testIdentity();
  readonly #running = new Map<NodeId, Safekeeper>();
  readonly #directories = new Map<NodeId, string>();

  async start(...nodes: readonly NodeId[]): Promise<void> {
    for (const node of nodes) {
      let dataDirectory = this.#directories.get(node);
      if (dataDirectory === undefined) {
        const made = temporaryDirectory();
        cleanups.push(() => made.remove());
        this.#directories.set(node, (dataDirectory = made.path));
      }
      const safekeeper = await Safekeeper.start({
        dataDirectory,
        configuration: parseConfiguration({ id: node, listen: LISTEN, http: LISTEN }, 'test'),
        disk: localDisk,
        log: pino({ level: 'silent' }),
        version: '0.0.0',
        nowMs: Date.now,
        lookIntervalMs: 20,
      });
      this.#running.set(node, safekeeper);
      cleanups.push(() => this.stop(node));
    }
  }

  async stop(node: NodeId): Promise<void> {
    const safekeeper = this.#running.get(node);
    this.#running.delete(node);
    await safekeeper?.stop();
  }

  safekeeper(node: NodeId): Safekeeper {
    const safekeeper = this.#running.get(node);
    if (safekeeper === undefined) throw new Error(`safekeeper ${node} does not run`);
    return safekeeper;
  }

  /** Tells those that run where the others are, as the control plane does. */
  async introduce(...more: readonly object[]): Promise<void> {
    const peers = [...this.#running].map(([id, { addresses }]) => addressOf(id, addresses));
    for (const { addresses } of this.#running.values()) {
      const { host, port } = addresses.http;
      const response = await fetch(`http://${host}:${port}/v1/peers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ peers: [...more, ...peers] }),
      });
      if (response.status !== 204) throw new Error(`HTTP status ${response.status}`);
    }
  }

  /** A leader of those that run. */
  async lead(wal: TestWal): Promise<TestProposer> {
    const nodes = new Map([...this.#running].map(([node, { addresses }]) => [node, addresses.listen]));
    const leader = await new TestProposer(this.identity, testConfiguration(3), nodes, () => wal).connect();
    cleanups.push(() => leader.close());
    await leader.until(({ synced }) => synced);
    return leader;
  }

  /** Commits all of `wal` on those that run, and goes. */
  async commit(wal: TestWal): Promise<void> {
    const leader = await this.lead(wal);
    await leader.commit(wal.endLsn);
    leader.tick();
    await vi.waitFor(async () => {
      for (const node of this.#running.keys())
        if ((await this.lsns(node))['commitLsn'] !== formatLsn(wal.endLsn)) throw new Error(`safekeeper ${node} lags`);
    }, POLL);
    leader.close();
  }

  directory(node: NodeId): string {
    return this.#directories.get(node) ?? '';
  }

  async lsns(node: NodeId): Promise<Record<string, unknown>> {
    const { tenant, timeline } = this.identity;
    return (await (await this.#get(node, `/v1/tenant/${tenant}/timeline/${timeline}`)).json()) as Record<
      string,
      unknown
    >;
  }

  async metrics(node: NodeId): Promise<string> {
    return (await this.#get(node, '/metrics')).text();
  }

  #get(node: NodeId, path: string): Promise<Response> {
    const { host, port } = this.safekeeper(node).addresses.http;
    return fetch(`http://${host}:${port}${path}`);
  }
}

function addressOf(
  id: number,
  { listen, http }: Safekeeper['addresses'],
): { readonly id: number; readonly host: string; readonly port: number; readonly httpPort: number } {
  return { id, host: listen.host, port: listen.port, httpPort: http.port };
}

describe('a safekeeper that was down when WAL was written, while nobody leads', () => {
  test('copies it from those that have it, over segments, and goes on with the next leader', async () => {
    const trio = new Trio();
    await trio.start(ONE, TWO, THREE);
    const wal = new TestWal(trio.identity).grow(100_000);
    await trio.commit(wal);
    await trio.stop(THREE);
    wal.grow(2_500_000);
    await trio.commit(wal);
    await trio.start(THREE);
    const { term } = await trio.lsns(ONE);
    expect((await trio.lsns(THREE))['flushLsn']).not.toBe(formatLsn(wal.endLsn));
    // One of those it is told of does not exist.
    await trio.introduce({ id: 9, host: '127.0.0.1', port: 1, httpPort: 1 });
    const end = formatLsn(wal.endLsn);
    await expect.poll(() => trio.lsns(THREE), POLL).toMatchObject({ flushLsn: end, commitLsn: end, term });
    const { timelineStartLsn } = trio.identity;
    const copied = await readWal(trio.safekeeper(THREE).addresses.listen, trio.identity, timelineStartLsn, wal.endLsn);
    expect(Buffer.compare(copied, wal.bytes(timelineStartLsn, wal.endLsn))).toBe(0);
    const metrics = await trio.metrics(THREE);
    expect(metrics).toMatch(/zenith_safekeeper_peer_recoveries_total\{verdict="copy"\} 1\n/);
    expect(metrics).toMatch(/zenith_safekeeper_wal_copied_bytes_total [1-9]\d{6}\n/);
    // It has the history, too, and makes a quorum with one that has been there all along.
    await trio.stop(ONE);
    await trio.stop(TWO);
    expect((await trio.lsns(THREE))['history']).toHaveLength(3);
    await trio.start(TWO);
    wal.grow(50_000);
    await trio.commit(wal);
  });

  test('drops nothing that only a leader may drop: what nobody else has stays until then', async () => {
    const trio = new Trio();
    await trio.start(ONE, TWO, THREE);
    const common = new TestWal(trio.identity).grow(100_000);
    await trio.commit(common);
    const lone = new TestWal(trio.identity, common.endLsn, 7, common).grow(30_000);
    const leader = await trio.lead(lone);
    leader.cut(ONE);
    leader.cut(TWO);
    leader.offer();
    await expect.poll(() => trio.lsns(THREE), POLL).toMatchObject({ flushLsn: formatLsn(lone.endLsn) });
    leader.close();
    await trio.stop(THREE);
    common.grow(300_000);
    await trio.commit(common);
    await trio.start(THREE);
    await trio.introduce();
    await expect.poll(() => trio.metrics(THREE), POLL).toMatch(/peer_recoveries_total\{verdict="diverged"\} [1-9]/);
    expect((await trio.lsns(THREE))['flushLsn']).toBe(formatLsn(lone.endLsn));
    await trio.commit(common.grow(1_000));
    const all = await Promise.all(
      [ONE, THREE].map((node) =>
        readWal(trio.safekeeper(node).addresses.listen, trio.identity, trio.identity.timelineStartLsn, common.endLsn),
      ),
    );
    expect(Buffer.compare(all[0] as Uint8Array, all[1] as Uint8Array)).toBe(0);
  });
});

/** Ticks when it is told to. */
class TestClock implements Clock {
  tick: () => void = () => undefined;

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  every(_intervalMs: number, callback: () => void): () => void {
    this.tick = callback;
    return () => undefined;
  }
}

test('a peer that stands still is given up, and another that has as much comes first the next time', async () => {
  const trio = new Trio();
  await trio.start(ONE, TWO, THREE);
  const wal = new TestWal(trio.identity).grow(100_000);
  await trio.commit(wal);
  const { tenant, timeline: id } = trio.identity;
  await trio.stop(THREE);
  wal.grow(400_000);
  await trio.commit(wal);

  // The third one's files, with a recovery that is driven step by step.
  const registry = await TimelineRegistry.open({
    node: THREE,
    dataDirectory: trio.directory(THREE),
    disk: localDisk,
    clock: new TestClock(),
    log: pino({ level: 'silent' }),
    metrics: timelineMetrics(new Registry()),
    timelinesMax: 10,
  });
  const clock = new TestClock();
  const recovery = new PeerRecovery({
    registry,
    clock,
    log: pino({ level: 'silent' }),
    metrics: recoveryMetrics(new Registry()),
    intervalMs: 1,
  });
  const tokens = { trust: undefined, token: () => undefined };
  const good = new RemotePeer(addressOf(TWO, trio.safekeeper(TWO).addresses), tokens);
  let [asked, opened] = [0, 0];
  const still: Peer = {
    id: 1,
    commitPoints: (one) => {
      asked++;
      return good.commitPoints(one);
    },
    control: (...about) => good.control(...about),
    openWal: () => {
      opened++;
      let fail: (error: Error) => void = () => undefined;
      return Promise.resolve({
        next: () =>
          new Promise((_resolve, reject) => {
            fail = reject;
          }),
        close: () => fail(new Error('closed')),
      });
    },
  };
  recovery.replacePeers([still, good]);
  recovery.start();
  const flushLsn = (): Lsn | undefined => registry.find(tenant, id)?.flushLsn;
  // A leader may be about to come: nobody is asked at the first look.
  clock.tick();
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBe(0);
  await expect
    .poll(() => {
      clock.tick();
      return flushLsn();
    }, POLL)
    .toBe(wal.endLsn);
  expect(opened).toBe(1);
  await recovery.stop();
  await registry.close();
});
