import type { Lsn } from '@zenith/base';
import type { Owed } from '../support/bank.ts';

/** Ids of the transfers of one branch lie so far from those of the next. */
const IDS_PER_BRANCH = 1_000_000_000;

/** What was known of a branch's transfers when its WAL was committed up to an LSN. */
interface Mark {
  readonly lsn: Lsn;
  /** So many transfers were acknowledged before the LSN was read: they lie below it. */
  readonly acknowledged: number;
  /** Transfers from this id on were begun after the LSN was read: they lie above it. */
  readonly nextId: number;
}

/** The books of one branch: which transfers it must have and which it may have, now and at any LSN of its own. */
export class Ledger {
  /** What it has of the branch that it was made of, once it was looked at; nobody adds to that, nobody takes from it. */
  readonly #inherited: ReadonlySet<number>;
  readonly #firstId: number;
  #nextId: number;
  /** In the order in which it was told of them. */
  readonly #acknowledged: number[] = [];
  readonly #startLsn: Lsn;
  readonly #marks: Mark[];

  /** @param number no other branch has the same @param startLsn from where on there is a bank on it */
  constructor(number: number, startLsn: Lsn, inherited: ReadonlySet<number> = new Set()) {
    this.#inherited = inherited;
    this.#firstId = number * IDS_PER_BRANCH;
    this.#nextId = this.#firstId;
    this.#startLsn = startLsn;
    this.#marks = [{ lsn: startLsn, acknowledged: 0, nextId: this.#firstId }];
  }

  /** What the next transfer is called. */
  get nextId(): number {
    return this.#nextId;
  }

  /** A transfer is about to be sent. Ids ascend. */
  begin(id: number): void {
    this.#nextId = id + 1;
  }

  /** The commit of a transfer was acknowledged. */
  acknowledge(id: number): void {
    this.#acknowledged.push(id);
  }

  /** Notes how things are at the LSN that `commitLsn` reads: one at or above every commit that was acknowledged before. Gives that LSN. */
  async mark(commitLsn: () => Promise<Lsn>): Promise<Lsn> {
    const acknowledged = this.#acknowledged.length;
    const lsn = await commitLsn();
    this.#marks.push({ lsn, acknowledged, nextId: this.#nextId });
    return lsn;
  }

  /** From where on the branch can be branched. */
  get startLsn(): Lsn {
    return this.#startLsn;
  }

  /** What the branch owes now. */
  get present(): Owed {
    return this.#owed(this.#acknowledged.length, this.#nextId);
  }

  /** What it owed at an LSN from its start up to that of the last mark. */
  at(lsn: Lsn): Owed {
    const below = this.#marks.findLast((mark) => mark.lsn <= lsn);
    const above = this.#marks.find((mark) => mark.lsn >= lsn);
    if (below === undefined || above === undefined) throw new Error('an LSN lies between marks');
    return this.#owed(below.acknowledged, above.nextId);
  }

  #owed(acknowledged: number, nextId: number): Owed {
    return {
      acknowledged: new Set([...this.#inherited, ...this.#acknowledged.slice(0, acknowledged)]),
      unknown: { has: (id) => id >= this.#firstId && id < nextId },
    };
  }
}
