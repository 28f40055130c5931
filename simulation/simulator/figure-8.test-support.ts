import { nodeId, type NodeId } from '@zenith/consensus';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { testConfiguration, testIdentity } from '../../packages/safekeeper/src/testing/test-wal.test-support.ts';
import { Checker } from './checker.ts';
import { ComputeNode, type Surroundings } from './compute-node.ts';
import { Counters } from './counters.ts';
import { Events } from './events.ts';
import { Network } from './network.ts';
import { SafekeeperNode } from './safekeeper-node.ts';

/** With it the computes send so little at a time that what term 3 brings safekeeper 2 can be cut off in the middle. */
const SEED = 1;

/** Each step comes to its end within this. Unit: simulated milliseconds. */
const STEP_MS = 2_000;

/** What term 1 writes: more than comes at a time. Unit: bytes. */
const TERM_1_BYTES = 30_000;

/** What Figure 8 leaves behind. Unit: bytes. */
export interface Figure8 {
  /** Acknowledged before term 4. */
  readonly before: number;
  /** Acknowledged in the end. */
  readonly after: number;
}

/**
 * Figure 8 of the Raft paper on whole safekeepers, directed by cutting the network. Term 1 writes on safekeeper 1 alone, term 2 on 3 alone. Term 3 is elected by 1 and 2 with 1 as donor, and brings 2 the first part of term 1's WAL: it is on
 * a quorum now. Then 3, whose last term is higher, is the donor of term 4, and that WAL is gone everywhere: it must not have been acknowledged. @throws SafetyViolation
 */
export async function figure8(): Promise<Figure8> {
  const events = new Events();
  const random = new Random(SEED);
  const counters = new Counters();
  const identity = testIdentity();
  const { timelineStartLsn } = identity;
  const configuration = testConfiguration(3);
  const checker = new Checker(timelineStartLsn);
  const network = new Network(events, random, counters);
  const [first, second, third] = [1, 2, 3].map(
    (id) => new SafekeeperNode(nodeId(id), identity, events, random, counters, checker),
  ) as [SafekeeperNode, SafekeeperNode, SafekeeperNode];
  const safekeepers = new Map<NodeId, SafekeeperNode>([first, second, third].map((node) => [node.id, node]));
  const surroundings: Surroundings = {
    identity,
    events,
    random,
    counters,
    network,
    checker,
    safekeepers,
    writesEarly: true,
    wals: new Map(),
  };
  const until = async (what: string, done: () => boolean): Promise<void> => {
    await events.run(events.nowMs + STEP_MS, done);
    if (!done()) throw new Error(`it did not come to this: ${what}`);
  };
  const flushed = ({ timeline }: SafekeeperNode): number => timeline?.flushLsn ?? timelineStartLsn;
  /** A compute that cannot reach one safekeeper is elected by the others. */
  const elect = async (term: number, without: SafekeeperNode): Promise<ComputeNode> => {
    const compute = new ComputeNode(term, surroundings, configuration, 0);
    network.cut(-compute.id, without.id);
    await until(`term ${term} is elected`, () => compute.core.state.phase === 'leading');
    if (compute.core.state.term !== term) throw new Error(`term ${compute.core.state.term} is elected`);
    return compute;
  };

  for (const node of safekeepers.values()) node.start();
  const one = await elect(1, third);
  network.cut(-one.id, second.id);
  await until('term 1 has written', () => {
    if ((one.endLsn ?? 0) < timelineStartLsn + TERM_1_BYTES) one.write();
    else return flushed(first) === one.endLsn;
    return false;
  });
  one.kill();

  const two = await elect(2, first);
  network.cut(-two.id, second.id);
  await until('term 2 has written', () => flushed(third) > timelineStartLsn);
  two.kill();

  const three = await elect(3, third);
  await until('safekeeper 2 has some of the WAL of term 1', () => flushed(second) > timelineStartLsn);
  network.cut(-three.id, second.id);
  // What was acknowledged to it arrives.
  await events.run(events.nowMs + STEP_MS / 2);
  if (flushed(second) >= three.core.state.startLsn) throw new Error('safekeeper 2 has all the WAL of term 1');
  three.kill();
  const before = checker.endLsn - timelineStartLsn;

  const four = await elect(4, first);
  await until('term 4 has committed what it wrote', () => {
    const { commitLsn, startLsn } = four.core.state;
    return commitLsn > startLsn && commitLsn === four.endLsn;
  });
  return { before, after: checker.endLsn - timelineStartLsn };
}
