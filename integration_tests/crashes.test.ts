import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank, type BankResult } from './support/bank.ts';
import { Zenith, killAndWait, type ServiceName } from './support/zenith.ts';

const options = { clients: 4, accounts: 500 };

let zenith: Zenith;
let firstId = 1;
const results: BankResult[] = [];
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main', '--set', 'shared_buffers=1MB');
  const client = await zenith.connect();
  await createBank(client, options);
  await client.query('create extension amcheck');
  await client.end();
});
afterAll(() => zenith.destroy());

/** Runs transfers while `disturb` happens, then audits: nothing acknowledged may be lost, and the indexes must fit the heaps. */
async function underLoad(disturb: () => Promise<void>): Promise<BankResult> {
  const result = await runBank(() => zenith.connect(), options, {
    firstId,
    until: (async () => {
      await new Promise((resolve) => setTimeout(resolve, 500)); // let some transfers happen first
      await disturb();
      await new Promise((resolve) => setTimeout(resolve, 500)); // and some after it
    })(),
  });
  firstId += 10_000_000;
  results.push(result);
  const client = await zenith.connect();
  try {
    expect(await auditBank(client, results)).toEqual([]);
    await client.query(
      "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p'",
    );
    const corruptions = await client.query(
      "select c.relname, v.* from pg_class c, lateral verify_heapam(c.oid) v where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'",
    );
    expect(corruptions.rows).toEqual([]);
  } finally {
    await client.end();
  }
  expect(result.errors).toEqual([]);
  expect(result.acknowledged.size).toBeGreaterThan(10);
  return result;
}

test('the pageserver killed and restarted: reads wait, no transaction fails', async () => {
  const result = await underLoad(async () => {
    await zenith.kill('pageserver');
    await zenith.run('start');
  });
  expect(result.unknown.size).toBe(0);
});

test('the only safekeeper killed and restarted: commits wait, no transaction fails', async () => {
  const result = await underLoad(async () => {
    await zenith.kill('safekeeper 1');
    await zenith.run('start');
  });
  expect(result.unknown.size).toBe(0);
});

test('the supervisor killed: its PostgreSQL stops by itself, and a new compute has everything', async () => {
  await underLoad(async () => {
    const supervisor = zenith.pid('compute main');
    const [postmaster] = zenith.children(supervisor);
    expect(postmaster).toBeDefined();
    await zenith.kill('compute main');
    await expect.poll(() => isRunning(postmaster ?? 0), { timeout: 10_000 }).toBe(false);
    await zenith.startPostgres('main');
  });
});

test('the postmaster killed: the same supervisor builds the compute anew, and it has everything', async () => {
  const supervisor = zenith.pid('compute main');
  await underLoad(async () => {
    const [postmaster] = zenith.children(supervisor);
    await killAndWait(postmaster ?? 0);
    await untilAnotherPostmaster(supervisor, postmaster);
  });
  expect(zenith.pid('compute main')).toBe(supervisor);
});

test('a backend killed: the same supervisor builds the compute anew, and it has everything', async () => {
  const supervisor = zenith.pid('compute main');
  await underLoad(async () => {
    const [postmaster] = zenith.children(supervisor);
    const victim = await zenith.connect();
    const [{ pid } = { pid: 0 }] = (await victim.query<{ pid: number }>('select pg_backend_pid() as pid')).rows;
    process.kill(pid, 'SIGKILL');
    await untilAnotherPostmaster(supervisor, postmaster);
    await victim.end().catch(() => undefined); // it was cut off; a failure to say goodbye changes nothing
  });
  expect(zenith.pid('compute main')).toBe(supervisor);
});

test('everything killed at once, several times', async () => {
  for (let round = 0; round < 3; round++) {
    await underLoad(async () => {
      const services: ServiceName[] = ['compute main', 'pageserver', 'safekeeper 1'];
      await Promise.all(services.map((service) => zenith.kill(service)));
      await zenith.run('start');
      await zenith.startPostgres('main');
    });
  }
});

test('busy backends killed, several times: no page that was torn in a write is ever read again', async () => {
  const supervisor = zenith.pid('compute main');
  for (let round = 0; round < 3; round++) {
    await underLoad(async () => {
      const [postmaster] = zenith.children(supervisor);
      const backends = await zenith.query<{ pid: number }>(
        'main',
        "select pid from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()",
      );
      for (const { pid } of backends) killIfThere(pid);
      await untilAnotherPostmaster(supervisor, postmaster);
    });
  }
  const { endpoints } = await zenith.status();
  expect(endpoints.map(({ name, status }) => [name, status])).toEqual([['main', 'running']]);
});

/** Resolves when the compute takes connections on a PostgreSQL that is not the one of `before`. */
async function untilAnotherPostmaster(supervisor: number, before: number | undefined): Promise<void> {
  expect(before).toBeDefined();
  await expect
    .poll(
      async () => {
        const [now] = zenith.children(supervisor);
        if (now === undefined || now === before) return [];
        return zenith.query('main', 'select 1 as one').catch(() => []);
      },
      { timeout: 30_000 },
    )
    .toEqual([{ one: 1 }]);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // the kill before ended it
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
