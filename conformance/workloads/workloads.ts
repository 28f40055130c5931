import type { Workload, WorkloadContext } from './workload.ts';

async function inDatabase(context: WorkloadContext, database: string, statements: readonly string[]): Promise<void> {
  const client = await context.connect(database);
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

function sql(name: string, statements: readonly string[], checks: readonly string[]): Workload {
  return {
    name,
    run: (context) => inDatabase(context, 'postgres', statements),
    checks: checks.map((check) => ['postgres', check] as const),
  };
}

const subtransactions: Workload = {
  name: 'subtransactions',
  async run(context) {
    const client = await context.connect();
    try {
      await client.query('create table subxact (t int, s int)');
      for (let t = 0; t < 100; t++) {
        // 1,000 savepoints, every third rolled back, in one round trip
        const parts = ['begin'];
        for (let s = 0; s < 1000; s++) {
          parts.push(`savepoint s; insert into subxact values (${t}, ${s})`);
          if (s % 3 === 0) parts.push('rollback to s');
          parts.push('release s');
        }
        parts.push(t % 10 === 9 ? 'rollback' : 'commit');
        await client.query(parts.join(';'));
      }
    } finally {
      await client.end();
    }
  },
  checks: [['postgres', 'select count(*)::int, sum(s)::int, count(distinct t)::int from subxact']],
};

const multixacts: Workload = {
  name: 'multixacts',
  async run(context) {
    const clients = await Promise.all([context.connect(), context.connect(), context.connect()]);
    try {
      await clients[0]?.query('create table multi (id int primary key, v int)');
      await clients[0]?.query('insert into multi select g, 0 from generate_series(1, 500) g');
      for (let round = 0; round < 20; round++) {
        for (const client of clients) await client.query('begin');
        for (const client of clients)
          await client.query(`select * from multi where id <= ${25 * (round + 1)} for key share`);
        await clients[round % 3]?.query(`update multi set v = v + 1 where id % 20 = ${round}`);
        for (const client of clients) await client.query(round % 5 === 4 ? 'rollback' : 'commit');
      }
    } finally {
      for (const client of clients) await client.end();
    }
  },
  checks: [['postgres', 'select count(*)::int, sum(v)::int from multi']],
};

const databases: Workload = {
  name: 'databases, both strategies',
  async run(context) {
    await inDatabase(context, 'postgres', [
      'create database by_log strategy wal_log',
      'create database by_copy strategy file_copy',
    ]);
    for (const name of ['by_log', 'by_copy']) {
      await inDatabase(context, name, [
        'create table here (t text)',
        `insert into here select '${name}' from generate_series(1, 1000)`,
      ]);
    }
    await inDatabase(context, 'postgres', [
      'create database copy_of_copy template by_copy strategy file_copy',
      'create database gone strategy file_copy',
      'drop database gone',
      'create database gone strategy wal_log',
      'drop database gone',
    ]);
  },
  checks: [
    ['postgres', "select datname from pg_database where datname not like 'template%' order by 1"],
    ['by_log', 'select count(*)::int, min(t) from here'],
    ['by_copy', 'select count(*)::int, min(t) from here'],
    ['copy_of_copy', 'select count(*)::int, min(t) from here'],
  ],
};

const notifications: Workload = {
  name: 'listen and notify',
  async run(context) {
    const listener = await context.connect();
    const sender = await context.connect();
    try {
      const heard = new Promise<string | undefined>((resolve) => {
        listener.on('notification', (message) => resolve(message.payload));
      });
      await listener.query('listen channel');
      await sender.query("notify channel, 'hello'");
      const payload = await heard;
      if (payload !== 'hello') throw new Error(`heard ${String(payload)}`);
    } finally {
      await listener.end();
      await sender.end();
    }
  },
  checks: [],
};

const copyMillion: Workload = {
  name: 'COPY of 1M rows',
  async run(context) {
    const client = await context.connect();
    try {
      await client.query('create table copied (id int, t text)');
      await client.query("copy copied (id) from program 'seq 1 1000000'");
      await client.query('create index on copied (id)');
    } finally {
      await client.end();
    }
  },
  checks: [
    ['postgres', 'select count(*)::int, sum(id)::text from copied'],
    ['postgres', 'select id from copied where id = 777777'],
  ],
};

/** Every kind of change that the first milestone must carry, in an order in which they can run on one compute. Prepared transactions are left open on purpose. */
export const workloads: readonly Workload[] = [
  sql(
    'heap and btree',
    [
      'create table accounts (id int primary key, balance int not null, filler text) with (fillfactor = 90)',
      "insert into accounts select g, 0, repeat('x', 80) from generate_series(1, 20000) g",
      'create index on accounts (balance)',
      'update accounts set balance = id % 100 where id % 3 = 0',
      'delete from accounts where id % 7 = 0',
      'update accounts set filler = filler || id where id % 5 = 0',
      'vacuum accounts',
      "insert into accounts select g, g, 'again' from generate_series(30001, 40000) g",
      'delete from accounts where id between 10000 and 35000',
      'vacuum (freeze, index_cleanup on) accounts',
      'select * from accounts where id < 50 for update',
    ],
    [
      'select count(*)::int, sum(balance)::int, sum(length(filler))::int from accounts',
      'select balance from accounts where id = 39999',
    ],
  ),
  subtransactions,
  multixacts,
  sql(
    'prepared transactions',
    [
      'create table prepared (id int primary key, t text)',
      "begin; insert into prepared values (1, 'committed later'); prepare transaction 'one'",
      "begin; insert into prepared values (2, 'rolled back later'); savepoint a; insert into prepared values (3, 'sub'); prepare transaction 'two'",
      "begin; insert into prepared values (4, 'left open'); prepare transaction 'three'",
      "commit prepared 'one'",
      "rollback prepared 'two'",
    ],
    ['select id, t from prepared order by id', 'select gid from pg_prepared_xacts order by 1'],
  ),
  sql(
    'catalog rewrites',
    [
      'create table rewritten as select g as id, md5(g::text) as t from generate_series(1, 5000) g',
      'vacuum full pg_class',
      'vacuum full pg_attribute',
      'vacuum full rewritten',
      'alter table rewritten add column extra int default 7',
      'alter table rewritten alter column id type bigint',
      'reindex table pg_class',
      'reindex table rewritten',
      'create index rewritten_t on rewritten (t)',
      'cluster rewritten using rewritten_t',
    ],
    [
      'select count(*)::int, sum(id)::int, sum(extra)::int from rewritten',
      "select relkind::text from pg_class where relname = 'rewritten'",
    ],
  ),
  databases,
  sql(
    'truncate and drop',
    [
      'create table truncated (id serial primary key, t text)',
      "insert into truncated (t) select 'a' from generate_series(1, 5000)",
      'truncate truncated',
      "insert into truncated (t) select 'b' from generate_series(1, 10)",
      'create table shrunk as select g as id from generate_series(1, 100000) g',
      'delete from shrunk where id > 1000',
      'vacuum (truncate) shrunk',
      "create table dropped as select repeat('d', 100) from generate_series(1, 1000)",
      'drop table dropped',
      'begin; create table never (id int); insert into never values (1); rollback',
    ],
    [
      'select count(*)::int, min(id)::int from truncated',
      'select count(*)::int, max(id)::int from shrunk',
      "select count(*)::int from pg_class where relname in ('dropped', 'never')",
    ],
  ),
  sql(
    'toast',
    [
      'create table toasted (id int, t text)',
      "insert into toasted select g, string_agg(md5((g * 1000 + i)::text), '') from generate_series(1, 50) g, generate_series(1, 500) i group by g",
      'alter table toasted alter column t set storage external',
      'insert into toasted select 100 + g, repeat(md5(g::text), 10000) from generate_series(1, 5) g',
      'delete from toasted where id % 10 = 3',
      'vacuum toasted',
    ],
    ['select count(*)::int, md5(string_agg(t, $$,$$ order by id)) from toasted'],
  ),
  sql(
    'GIN, GiST, SP-GiST, hash and BRIN indexes',
    [
      'create table indexed (id int, words tsvector, tags int[], spot point, box box, name text, day timestamp)',
      `insert into indexed select g, to_tsvector('simple', md5(g::text) || ' ' || md5((g % 100)::text)), array[g % 50, g % 7], point(g % 100, g / 100), box(point(g % 100, g / 100), point(g % 100 + 1, g / 100 + 1)),
       'name' || g % 500, timestamp '2026-01-01' + g * interval '1 minute' from generate_series(1, 5000) g`,
      'create index indexed_words on indexed using gin (words)',
      'create index indexed_tags on indexed using gin (tags)',
      'create index indexed_box on indexed using gist (box)',
      'create index indexed_spot on indexed using spgist (spot)',
      'create index indexed_text on indexed using spgist (name)',
      'create index indexed_name on indexed using hash (name)',
      'create index indexed_day on indexed using brin (day) with (pages_per_range = 4)',
      `insert into indexed select g, to_tsvector('simple', md5(g::text)), array[g % 50], point(g % 100, g / 100), box(point(g, g), point(g + 1, g + 1)), 'name' || g % 700, timestamp '2026-01-01' + g * interval '1 minute' from generate_series(5001, 9000) g`,
      'delete from indexed where id % 3 = 0',
      'vacuum indexed',
      "update indexed set name = name || 'x', tags = tags || 99 where id % 5 = 0",
    ],
    [
      'select count(*)::int from indexed where tags @> array[99]',
      "select count(*)::int from indexed where words @@ to_tsquery('simple', md5('42'))",
      'select count(*)::int from indexed where box && box(point(10, 10), point(20, 20))',
      'select count(*)::int from indexed where spot <@ box(point(0, 0), point(30, 30))',
      "select count(*)::int from indexed where name = 'name42'",
      "select count(*)::int from indexed where name >= 'name3' and name < 'name4'",
      "select count(*)::int from indexed where day < '2026-01-02'",
    ],
  ),
  sql(
    'sequences',
    [
      'create sequence numbers increment 3 cache 5',
      "select nextval('numbers') from generate_series(1, 100)",
      "select setval('numbers', 5000)",
      "select nextval('numbers')",
    ],
    ['select last_value >= 5003 as ahead from numbers'],
  ),
  sql(
    'unlogged tables',
    [
      'create unlogged table unlogged (id int primary key, t text)',
      "insert into unlogged select g, 'u' from generate_series(1, 1000) g",
      'create unlogged sequence unlogged_numbers',
    ],
    [],
  ),
  sql(
    'partitions, constraints and large objects',
    [
      'create table parts (id int, day date) partition by range (day)',
      "create table parts_2025 partition of parts for values from ('2025-01-01') to ('2026-01-01')",
      "create table parts_2026 partition of parts for values from ('2026-01-01') to ('2027-01-01')",
      "insert into parts select g, date '2025-01-01' + g from generate_series(0, 700) g",
      'create index on parts (day)',
      'alter table parts detach partition parts_2025',
      'create table child (id int references accounts (id))',
      'insert into child select id from accounts where id < 1000',
      "select lo_from_bytea(4711, decode(repeat('ab', 100000), 'hex'))",
      'create materialized view summary as select count(*) from child',
      'refresh materialized view summary',
    ],
    [
      'select count(*)::int from parts',
      'select count(*)::int from child',
      'select md5(lo_get(4711))',
      'select * from summary',
    ],
  ),
  sql(
    'a record larger than many pages of WAL',
    [
      "select pg_logical_emit_message(false, 'big', repeat('z', 40000000))",
      "select pg_logical_emit_message(true, 'big', repeat('y', 3000000))",
    ],
    [],
  ),
  notifications,
  copyMillion,
];
