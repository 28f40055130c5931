import { nodeId, type NodeId } from '@zenith/consensus';
import type { AcceptorCell, ProposerCell } from './cells.ts';
import type { Interner } from './interner.ts';

/** All orders of the numbers below `count`. */
function permutations(count: number): readonly (readonly number[])[] {
  if (count === 0) return [[]];
  return permutations(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, at) => [...order.slice(0, at), count - 1, ...order.slice(at)]),
  );
}

/** A cell's number under one renaming of nodes, once it was asked for. */
class Renamed<T> {
  readonly #interner: Interner<T>;
  readonly #rename: (cell: T) => T;
  readonly #ids: number[] = [];

  constructor(interner: Interner<T>, rename: (cell: T) => T) {
    this.#interner = interner;
    this.#rename = rename;
  }

  id(id: number): number {
    return (this.#ids[id] ??= this.#interner.id(this.#rename(this.#interner.value(id))));
  }
}

interface Renaming {
  /** Where acceptor i goes. */
  readonly acceptors: readonly number[];
  readonly proposers: readonly number[];
  readonly acceptor: Renamed<AcceptorCell>;
  readonly proposer: Renamed<ProposerCell>;
}

/** Acceptors are alike, and so are proposers: of all states that differ only in who is called what, one is kept. It divides the states by nearly 12 with three acceptors and two proposers. */
export class Symmetry {
  /** Numbers in a state. */
  readonly length: number;
  readonly #acceptors: number;
  readonly #proposers: number;
  readonly #renamings: readonly Renaming[];
  #best: Int32Array;
  #candidate: Int32Array;

  constructor(
    { acceptors, proposers }: { readonly acceptors: number; readonly proposers: number },
    acceptorCells: Interner<AcceptorCell>,
    proposerCells: Interner<ProposerCell>,
  ) {
    this.#acceptors = acceptors;
    this.#proposers = proposers;
    this.length = acceptors + proposers + acceptors * proposers + 1;
    this.#best = new Int32Array(this.length);
    this.#candidate = new Int32Array(this.length);
    const proposerOrders = permutations(proposers).map((order) => ({
      order,
      acceptor: new Renamed(acceptorCells, (cell) => renameLeader(cell, order)),
    }));
    this.#renamings = permutations(acceptors).flatMap((order) => {
      const proposer = new Renamed(proposerCells, (cell) => renameAcceptors(cell, order));
      return proposerOrders.map((one) => ({
        acceptors: order,
        proposers: one.order,
        acceptor: one.acceptor,
        proposer,
      }));
    });
  }

  /** The least of all renamings. Valid until the next call. */
  canonical(state: Int32Array): Int32Array {
    let first = true;
    for (const renaming of this.#renamings) {
      this.#fill(state, renaming);
      if (first || this.#candidateIsLess()) [this.#best, this.#candidate] = [this.#candidate, this.#best];
      first = false;
    }
    return this.#best;
  }

  #fill(state: Int32Array, renaming: Renaming): void {
    const { acceptors, proposers } = renaming;
    const count = this.#acceptors;
    const links = count + this.#proposers;
    const to = this.#candidate;
    for (let a = 0; a < count; a++) to[acceptors[a] as number] = renaming.acceptor.id(state[a] as number);
    for (let p = 0; p < this.#proposers; p++) {
      const q = proposers[p] as number;
      to[count + q] = renaming.proposer.id(state[count + p] as number);
      for (let a = 0; a < count; a++)
        to[links + q * count + (acceptors[a] as number)] = state[links + p * count + a] as number;
    }
    to[this.length - 1] = state[this.length - 1] as number;
  }

  #candidateIsLess(): boolean {
    for (let i = 0; i < this.length; i++) {
      const difference = (this.#candidate[i] as number) - (this.#best[i] as number);
      if (difference !== 0) return difference < 0;
    }
    return false;
  }
}

function renameLeader(cell: AcceptorCell, order: readonly number[]): AcceptorCell {
  const { leader } = cell.state;
  return leader === null ? cell : { ...cell, state: { ...cell.state, leader: (order[leader - 1] as number) + 1 } };
}

function renameAcceptors(cell: ProposerCell, order: readonly number[]): ProposerCell {
  const rename = (node: NodeId): NodeId => nodeId((order[node - 1] as number) + 1);
  const { state, voterLogs } = cell;
  const acceptors = state.acceptors.map((progress) => ({ ...progress, node: rename(progress.node) }));
  const logs = voterLogs.slice();
  for (const [from, to] of order.entries()) logs[to] = voterLogs[from] ?? null;
  return {
    ...cell,
    voterLogs: logs,
    state: {
      ...state,
      acceptors: acceptors.toSorted((a, b) => a.node - b.node),
      donor: state.donor === null ? null : rename(state.donor),
    },
  };
}
