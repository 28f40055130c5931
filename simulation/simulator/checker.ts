import { formatLsn, type Lsn } from '@zenith/base';
import type { NodeId } from '@zenith/consensus';
import { SafetyViolation } from './violation.ts';

/** WAL from some LSN on. */
export interface Tail {
  readonly startLsn: Lsn;
  readonly bytes: Uint8Array;
}

/** Knows every byte that was ever acknowledged, and compares all that claims to be it. */
export class Checker {
  readonly #startLsn: Lsn;
  #committed = Buffer.alloc(64 * 1024);
  #length = 0;
  /** Who acknowledged first: the term whose leader did, up to which LSN. */
  readonly #committedBy: { readonly term: number; readonly endLsn: Lsn }[] = [];
  readonly #leaders = new Map<number, number>();
  readonly #votes = new Map<string, number>();

  /** @param startLsn where the timeline begins */
  constructor(startLsn: Lsn) {
    this.#startLsn = startLsn;
  }

  /** End of what was acknowledged. */
  get endLsn(): Lsn {
    return (this.#startLsn + this.#length) as Lsn;
  }

  /** An acceptor gave its vote in a term. @throws SafetyViolation when somebody else had it */
  voted(node: NodeId, term: number, compute: number): void {
    const key = `${node} ${term}`;
    const before = this.#votes.get(key) ?? compute;
    if (before !== compute)
      throw new SafetyViolation(`safekeeper ${node} voted for computes ${before} and ${compute} in term ${term}`);
    this.#votes.set(key, compute);
  }

  /** A proposer leads. @param tail the end of the donor's WAL when it voted @throws SafetyViolation when it lacks what older terms acknowledged, or the term was elected before */
  elected(term: number, compute: number, startLsn: Lsn, tail: Tail): void {
    if (this.#leaders.has(term)) throw new SafetyViolation(`term ${term} was elected twice`);
    this.#leaders.set(term, compute);
    // A leader of an older term, whose votes came late, can do no harm any more.
    const older = this.#committedBy.findLast((by) => by.term < term)?.endLsn ?? this.#startLsn;
    if (startLsn < older)
      throw new SafetyViolation(
        `term ${term} begins at ${formatLsn(startLsn)}, and ${formatLsn(older)} was acknowledged before`,
      );
    this.#compare(tail, older, `the WAL that term ${term} continues`);
  }

  /** A leader acknowledges its WAL up to `endLsn`. @param bytes gives its WAL from some LSN on, which may be later than asked for */
  acknowledged(term: number, endLsn: Lsn, bytes: (from: Lsn, to: Lsn) => Tail): void {
    if (endLsn <= this.endLsn) {
      this.#compare(bytes(endLsn, endLsn), endLsn, `what term ${term} acknowledges`);
      return;
    }
    const tail = bytes(this.endLsn, endLsn);
    if (tail.startLsn > this.endLsn)
      throw new SafetyViolation(
        `term ${term} acknowledges WAL from ${formatLsn(this.endLsn)} on that it does not have`,
      );
    this.#compare(tail, this.endLsn, `what term ${term} acknowledges`);
    const more = tail.bytes.subarray(this.endLsn - tail.startLsn, endLsn - tail.startLsn);
    while (this.#length + more.length > this.#committed.length)
      this.#committed = Buffer.concat([this.#committed, Buffer.alloc(this.#committed.length)]);
    this.#committed.set(more, this.#length);
    this.#length += more.length;
    this.#committedBy.push({ term, endLsn });
  }

  /** Something is served as committed. @throws SafetyViolation when it is anything but what was acknowledged */
  served(who: string, tail: Tail): void {
    const endLsn = (tail.startLsn + tail.bytes.length) as Lsn;
    if (endLsn > this.endLsn)
      throw new SafetyViolation(`${who} serves WAL up to ${formatLsn(endLsn)}, which was not acknowledged`);
    this.#compare(tail, endLsn, `what ${who} serves`);
  }

  #compare(tail: Tail, upTo: Lsn, what: string): void {
    const from = tail.startLsn;
    const to = Math.min(upTo, from + tail.bytes.length, this.endLsn);
    if (to <= from) return;
    const theirs = Buffer.from(tail.bytes.buffer, tail.bytes.byteOffset, tail.bytes.length);
    const mine = this.#committed.subarray(from - this.#startLsn, to - this.#startLsn);
    if (mine.compare(theirs, 0, to - from) === 0) return;
    let at = 0;
    while (mine[at] === theirs[at]) at++;
    throw new SafetyViolation(
      `${what} differs at ${formatLsn((from + at) as Lsn)} from what was acknowledged (up to ${formatLsn(this.endLsn)})`,
    );
  }
}
