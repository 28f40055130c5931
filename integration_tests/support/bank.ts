import type { Client } from 'pg';

/** How the bank is set up. */
export interface BankOptions {
  readonly clients: number;
  readonly accounts: number;
}

/** Which transfers a bank must have, and which others it may have, by their ids. */
export interface Owed {
  /** Transfers whose commit was acknowledged. None of them may ever be lost. */
  readonly acknowledged: ReadonlySet<number>;
  /** Transfers whose fate is unknown: the connection broke while the commit was under way. */
  readonly unknown: Pick<ReadonlySet<number>, 'has'>;
}

/** What came of the transfers of one run. */
export interface BankResult extends Owed {
  readonly unknown: ReadonlySet<number>;
  /** Errors other than a broken connection. */
  readonly errors: readonly Error[];
}

/** How transfers are made. */
export interface BankRun {
  /** What the first transfer is called; the next ones count on. */
  readonly firstId: number;
  /** No more transfers are begun when it settles. */
  readonly until: Promise<unknown>;
  /** Told of each transfer before it is sent. */
  readonly onBegun?: (id: number) => void;
  /** Told of each transfer that was acknowledged, as soon as it is. @param begunMs when it was begun, by performance.now() */
  readonly onAcknowledged?: (begunMs: number, id: number) => void;
}

/** Creates the bank's tables: accounts whose balances always sum to 0, and a log of transfers. */
export async function createBank(client: Client, options: BankOptions): Promise<void> {
  await client.query('create table bank (id int primary key, balance int not null)');
  await client.query('create table transfers (id bigint primary key, debit int, credit int, amount int)');
  await client.query(`insert into bank select g, 0 from generate_series(1, ${options.accounts}) g`);
}

/**
 * Moves money between random accounts on `options.clients` connections. Each transfer has an id of its own; the ids whose commit was acknowledged are what the
 * database owes. A connection that breaks is made again; `connect` may reject while the server is away and is then called again after it settles.
 */
export async function runBank(
  connect: () => Promise<Client>,
  options: BankOptions,
  { firstId, until, onBegun, onAcknowledged }: BankRun,
): Promise<BankResult> {
  const acknowledged = new Set<number>();
  const unknown = new Set<number>();
  const errors: Error[] = [];
  let nextId = firstId;
  const load = { running: true };
  const stopped = until.then(
    () => {
      load.running = false;
    },
    () => {
      load.running = false;
    },
  );
  const account = (): number => 1 + Math.floor(Math.random() * options.accounts);

  async function work(): Promise<void> {
    let client: Client | undefined;
    while (load.running) {
      if (client === undefined) {
        try {
          client = await connect();
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 50)); // the server is away: nothing tells when it is back
          continue;
        }
      }
      const id = nextId++;
      onBegun?.(id);
      // accounts in order, so that no two transfers deadlock
      const [low, high] = [account(), account()].sort((a, b) => a - b) as [number, number];
      const amount = 1 + (id % 100);
      const begunMs = performance.now();
      try {
        await client.query(
          `begin; update bank set balance = balance - ${amount} where id = ${low}; update bank set balance = balance + ${amount} where id = ${high};
           insert into transfers values (${id}, ${low}, ${high}, ${amount}); commit`,
        );
        acknowledged.add(id);
        onAcknowledged?.(begunMs, id);
      } catch (error) {
        unknown.add(id);
        const sqlState = (error as { code?: string }).code ?? '';
        if (/^(?!57P0|08)[0-9A-Z]{5}$/.test(sqlState)) errors.push(error as Error);
        await client.end().catch(() => undefined); // it is broken already; a failure to say goodbye changes nothing
        client = undefined;
      }
    }
    await client?.end();
  }
  await Promise.all([stopped, ...Array.from({ length: options.clients }, work)]);
  return { acknowledged, unknown, errors };
}

/** Ids of all transfers that are there. */
export async function transfersOf(client: Client): Promise<Set<number>> {
  return new Set((await client.query<{ id: string }>('select id from transfers')).rows.map((row) => Number(row.id)));
}

/** What is wrong with the bank: acknowledged transfers that are missing, transfers nobody made, balances that do not add up. Empty when all is well. */
export async function auditBank(client: Client, results: readonly Owed[]): Promise<string[]> {
  const problems: string[] = [];
  const present = await transfersOf(client);
  for (const result of results) {
    for (const id of result.acknowledged)
      if (!present.has(id)) problems.push(`transfer ${id} was acknowledged and is lost`);
  }
  for (const id of present) {
    if (!results.some((result) => result.acknowledged.has(id) || result.unknown.has(id)))
      problems.push(`transfer ${id} was never made`);
  }
  const wrong = await client.query(
    `select b.id, b.balance, coalesce(t.sum, 0) as owed from bank b
     left join (select id, sum(amount)::int as sum from (select credit as id, amount from transfers union all select debit, -amount from transfers) m group by id) t using (id)
     where b.balance <> coalesce(t.sum, 0)`,
  );
  for (const row of wrong.rows) problems.push(`account ${row.id} has ${row.balance}, its transfers say ${row.owed}`);
  return problems;
}
