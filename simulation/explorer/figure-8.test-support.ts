import { quorumSize } from '@zenith/consensus';
import { World, type ActionType, type Bounds } from './world.ts';

/** Bounds that have room for Figure 8 of the Raft paper. */
const BOUNDS: Bounds = {
  terms: 4,
  log: 2,
  acceptors: 3,
  proposers: 2,
  cuts: 0,
  writesEarly: true,
  retries: false,
  copies: false,
};

/**
 * Figure 8 of the Raft paper, step by step: term 1 writes two entries on acceptor 1 alone, term 2 one entry on acceptor 3 alone. Term 3 is elected by 1 and 2 with 1 as donor, and brings 2 the first of term 1's entries: it is on a quorum
 * now. Then 3, whose last term is higher, is the donor of term 4, and that entry is gone everywhere: it must not have been acknowledged.
 * @returns what was acknowledged, and the terms elected. @throws Violation
 */
export function figure8(): { readonly committed: string; readonly elected: string } {
  const world = new World(BOUNDS);
  let state = world.initial();
  const act = (type: ActionType, proposer: number, acceptor = 0): void => {
    const next = world.step(state, { type, proposer, acceptor });
    if (next === undefined) throw new Error(`${type} by proposer ${proposer + 1} is not possible here`);
    state = next;
  };
  // The last of the votes a quorum needs may come late, and is taken by a step of its own.
  const elect = (proposer: number, acceptors: readonly number[]): void => {
    act(
      'campaign',
      proposer,
      acceptors.reduce((bits, acceptor) => bits | (1 << acceptor), 0),
    );
    for (const acceptor of acceptors) act('deliver', proposer, acceptor);
    if (acceptors.length >= quorumSize(BOUNDS.acceptors)) act('vote', proposer, acceptors.at(-1));
  };
  elect(0, [0, 1]);
  act('deliver', 0, 0); // Elected
  for (let entry = 0; entry < 2; entry++) {
    act('write', 0);
    act('deliver', 0, 0);
  }
  elect(1, [1, 2]);
  act('deliver', 1, 2);
  act('write', 1);
  act('deliver', 1, 2);
  act('restart', 0);
  elect(0, [0, 1]);
  act('deliver', 0, 0);
  act('deliver', 0, 1); // Elected, and the first of the entries that acceptor 2 lacks
  act('restart', 1);
  elect(1, [1, 2]);
  return world.historyOf(state);
}
