import { hasQuorum, isMember, type Configuration, type NodeId } from '../configuration.ts';
import { comparePositions, mostAdvanced, type WalPosition } from '../position.ts';
import type { Term } from '../term-history.ts';

// How members change, without a moment in which two quorums could decide without each other. Configurations are kept in the cluster's metadata store, where each step is a compare-and-set on the generation:
//
//   1  read the configuration, make the joint one of it, and store that
//   2  install it on the acceptors, until a quorum of the old members says where it is: that is the sync point
//   3  a leader, or a proposer in mode `sync`, brings the WAL to the new members, as to any that lag
//   4  raise the new members' terms to the sync point's; wait until a quorum of them is at the sync point or beyond
//   5  store the final configuration, and install it
//
// Until 5 the change can be taken back. A crash of whoever does this leaves a joint configuration, in which everything goes on, and from which anybody can go on.

/** What an acceptor says when a configuration is installed. All of it is durable. */
export interface ConfiguredReport {
  readonly node: NodeId;
  /** The one it is in now: at least as new as the one it was given. */
  readonly configuration: Configuration;
  readonly term: Term;
  readonly position: WalPosition;
}

/** Where the new members must be before the old ones may go: nothing was committed beyond it in the old configuration. */
export interface SyncPoint {
  readonly term: Term;
  readonly position: WalPosition;
}

/** The configuration in which old and new members decide together. @param current one that is not joint */
export function jointConfiguration(current: Configuration, newMembers: readonly NodeId[]): Configuration {
  return { generation: current.generation + 1, members: current.members, newMembers };
}

/** The configuration after a joint one. */
export function finalConfiguration(joint: Configuration): Configuration {
  return { generation: joint.generation + 1, members: joint.newMembers ?? joint.members, newMembers: null };
}

/** The configuration that takes a joint one back; safe at any time before the final one is stored. */
export function abortedConfiguration(joint: Configuration): Configuration {
  return { generation: joint.generation + 1, members: joint.members, newMembers: null };
}

/** What those say that are in this very configuration. */
function inside(joint: Configuration, reports: readonly ConfiguredReport[]): readonly ConfiguredReport[] {
  return reports.filter(({ configuration }) => configuration.generation === joint.generation);
}

/** The sync point, once a quorum of the old members is in the joint configuration; null before. Whatever the old ones committed alone is below it, and from now on they commit nothing alone. */
export function syncPoint(joint: Configuration, reports: readonly ConfiguredReport[]): SyncPoint | null {
  const old = inside(joint, reports).filter(({ node }) => joint.members.includes(node));
  const quorum = { ...joint, newMembers: null };
  if (!hasQuorum(quorum, (member) => old.some(({ node }) => node === member))) return null;
  return {
    term: Math.max(...old.map(({ term }) => term)),
    position: mostAdvanced(old, ({ position }) => position).position,
  };
}

/** True once a quorum of the new members is at the sync point or beyond, in term and position: the old ones may go. */
export function isSynced(joint: Configuration, point: SyncPoint, reports: readonly ConfiguredReport[]): boolean {
  const there = inside(joint, reports).filter(
    ({ node, term, position }) =>
      isMember(joint, node) && term >= point.term && comparePositions(position, point.position) >= 0,
  );
  const quorum = { generation: joint.generation, members: joint.newMembers ?? joint.members, newMembers: null };
  return hasQuorum(quorum, (member) => there.some(({ node }) => node === member));
}
