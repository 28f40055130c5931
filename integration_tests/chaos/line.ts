import { parseLsn, type Lsn } from '@zenith/base';
import type { Client } from 'pg';
import { auditBank, runBank, type BankResult } from '../support/bank.ts';
import type { ChaosCompute } from './chaos-compute.ts';
import { readColdRows, type ColdReads } from './cold-rows.ts';
import type { Ledger } from './ledger.ts';
import { Progress } from './progress.ts';
import type { Audit } from './report.ts';

/** The bank on every branch. */
export const BANK = { clients: 4, accounts: 200 };

/** No progress for so long is none. Unit: ms. */
const PROGRESS_MAX_MS = 60_000;

/** A transfer that is not answered for so long is given up by its client. Unit: ms. */
const QUERY_MAX_MS = 60_000;

/** What came of the work on a line. */
interface Load {
  readonly transfers: BankResult;
  readonly reads: ColdReads;
}

/** A branch, the compute that runs on it, and the books of its bank. */
export class Line {
  readonly compute: ChaosCompute;
  readonly ledger: Ledger;
  #progress = new Progress('transfers');
  #readProgress = new Progress('reads');

  constructor(compute: ChaosCompute, ledger: Ledger) {
    this.compute = compute;
    this.ledger = ledger;
  }

  /** Transfers and reads of cold rows go on until something settles. Resolves when the last one has been answered. */
  async loadUntil(until: Promise<unknown>): Promise<Load> {
    const [progress, readProgress] = [new Progress('transfers'), new Progress('reads')];
    this.#progress = progress;
    this.#readProgress = readProgress;
    const connect = (): Promise<Client> => this.compute.process.connect(QUERY_MAX_MS);
    const reads = readColdRows(connect, until, (begunMs) => readProgress.note(begunMs));
    const transfers = runBank(connect, BANK, {
      firstId: this.ledger.nextId,
      until,
      onBegun: (id) => this.ledger.begin(id),
      onAcknowledged: (begunMs, id) => {
        this.ledger.acknowledge(id);
        progress.note(begunMs);
      },
    });
    return { transfers: await transfers, reads: await reads };
  }

  /** Resolves when so many transfers that were begun after a time have been acknowledged, with how long after it the first of them was. Unit: ms. @throws Error that says `when`, when that does not happen within a minute */
  async transfersSince(sinceMs: number, count: number, when: string): Promise<number> {
    return this.#progress.since(sinceMs, count, PROGRESS_MAX_MS, `on ${this.compute.name} ${when}`);
  }

  /** The same of reads of cold rows. */
  async readsSince(sinceMs: number, count: number, when: string): Promise<number> {
    return this.#readProgress.since(sinceMs, count, PROGRESS_MAX_MS, `on ${this.compute.name} ${when}`);
  }

  /** Notes in the books how things are at the present commit LSN, which it gives. */
  mark(): Promise<Lsn> {
    return this.ledger.mark(async () => parseLsn(String((await this.compute.process.status())['commitLsn'])));
  }

  /** Compares the bank with the books; nobody transfers meanwhile. Gives what is wrong, and the sum of all balances. @param owed what the books say, by default of the present */
  async audit(owed = this.ledger.present): Promise<Audit> {
    const client = await this.compute.process.connect();
    try {
      const problems = await auditBank(client, [owed]);
      const { rows } = await client.query<{ total: string }>('select sum(balance) as total from bank');
      return { problems, total: Number(rows[0]?.total) };
    } finally {
      await client.end();
    }
  }

  /** What amcheck says of the bank's heaps and indexes; nothing when they are right. @throws Error when an index is damaged */
  async amcheck(): Promise<string[]> {
    const { process } = this.compute;
    await process.query(
      "select bt_index_check(c.oid, true) from pg_class c where c.relname in ('bank_pkey', 'transfers_pkey')",
    );
    const rows = await process.query(
      "select v.msg from pg_class c, lateral verify_heapam(c.oid) v where c.relname in ('bank', 'transfers')",
    );
    return rows.map((row) => String(row['msg']));
  }
}
