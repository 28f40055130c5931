import type { Client } from 'pg';

/** Rows that a page has only one of. */
const ROWS = 1_000;

const READERS = 2;

/** Pause of a reader between two reads, so that a compute does not soon have all rows. Unit: ms. */
const READ_EVERY_MS = 50;

/** What came of the reads of one run. */
export interface ColdReads {
  readonly reads: number;
  /** Wrong rows, and errors other than a broken connection. */
  readonly problems: readonly string[];
}

/** Makes rows that nobody changes any more. */
export async function createColdRows(client: Client): Promise<void> {
  await client.query('create table cold (id int primary key, v text)');
  await client.query('alter table cold alter v set storage plain');
  await client.query(`insert into cold select g, repeat(md5(g::text), 128) from generate_series(1, ${ROWS}) g`);
  await client.query('vacuum (freeze) cold'); // so that a read changes no page
}

/**
 * Reads random rows until something settles: a compute lacks most of them, so that its backends ask the pageserver, and connect to it as soon as it is there again. A connection that breaks is made again.
 * @param onRead told of each read. @param begunMs when it was begun, by performance.now()
 */
export async function readColdRows(
  connect: () => Promise<Client>,
  until: Promise<unknown>,
  onRead: (begunMs: number) => void,
): Promise<ColdReads> {
  const problems: string[] = [];
  const load = { running: true, reads: 0 };
  const stop = (): void => {
    load.running = false;
  };
  const stopped = until.then(stop, stop);

  async function read(): Promise<void> {
    let client: Client | undefined;
    for (; load.running; await new Promise((resolve) => setTimeout(resolve, READ_EVERY_MS))) {
      try {
        client ??= await connect();
      } catch {
        continue; // the server is away: nothing tells when it is back
      }
      const id = 1 + Math.floor(Math.random() * ROWS);
      const begunMs = performance.now();
      try {
        const { rows } = await client.query<{ right: boolean }>(
          `select v = repeat(md5(id::text), 128) as right from cold where id = ${id}`,
        );
        if (rows[0]?.right !== true) problems.push(`row ${id} is ${rows.length === 0 ? 'missing' : 'wrong'}`);
        load.reads++;
        onRead(begunMs);
      } catch (error) {
        const { code = '', message } = error as Error & { code?: string };
        if (/^(?!57P0|08)[0-9A-Z]{5}$/.test(code)) problems.push(`row ${id} cannot be read: ${message}`);
        await client.end().catch(() => undefined); // it is broken already; a failure to say goodbye changes nothing
        client = undefined;
      }
    }
    await client?.end();
  }
  await Promise.all([stopped, ...Array.from({ length: READERS }, read)]);
  return { reads: load.reads, problems };
}
