import type { Lsn } from '@zenith/base';

declare const kind: unique symbol;

/** Names a safekeeper within a cluster. Safe integer ≥ 1. */
export type NodeId = number & { readonly [kind]: 'node' };

/** Most members either set of a configuration may have. */
export const MEMBERS_MAX = 16;

/**
 * Who votes. While membership changes, `newMembers` is set and every decision needs a quorum of `members` and one of `newMembers` (joint consensus); otherwise it is null.
 */
export interface Configuration {
  /** Strictly increasing; a higher one replaces a lower one. Safe integer ≥ 1. */
  readonly generation: number;
  readonly members: readonly NodeId[];
  readonly newMembers: readonly NodeId[] | null;
}

/** Brands a safe integer ≥ 1. No check: {@link isConfiguration} and configuration schemas check what comes from outside. */
export function nodeId(value: number): NodeId {
  return value as NodeId;
}

function isMemberSet(members: readonly NodeId[]): boolean {
  const valid = members.every((member) => Number.isSafeInteger(member) && member >= 1);
  return valid && members.length >= 1 && members.length <= MEMBERS_MAX && new Set(members).size === members.length;
}

/** True when `configuration` has the form of one; for bytes from disk or from a peer. */
export function isConfiguration(configuration: Configuration): boolean {
  const { generation, members, newMembers } = configuration;
  return (
    Number.isSafeInteger(generation) &&
    generation >= 1 &&
    isMemberSet(members) &&
    (newMembers === null || isMemberSet(newMembers))
  );
}

/** How many of `size` members make a quorum: any two quorums share a member. */
export function quorumSize(size: number): number {
  return Math.floor(size / 2) + 1;
}

/** Every node of the configuration, once, in ascending order. */
export function allMembers(configuration: Configuration): readonly NodeId[] {
  return [...new Set([...configuration.members, ...(configuration.newMembers ?? [])])].toSorted((a, b) => a - b);
}

/** True when `node` votes in this configuration. */
export function isMember(configuration: Configuration, node: NodeId): boolean {
  return configuration.members.includes(node) || (configuration.newMembers?.includes(node) ?? false);
}

/** True when the nodes for which `agrees` holds are a quorum (of both sets while membership changes). */
export function hasQuorum(configuration: Configuration, agrees: (node: NodeId) => boolean): boolean {
  const quorumOf = (members: readonly NodeId[]): boolean => members.filter(agrees).length >= quorumSize(members.length);
  return quorumOf(configuration.members) && (configuration.newMembers === null || quorumOf(configuration.newMembers));
}

/**
 * The highest LSN that a quorum has reached, null when fewer than a quorum count at all.
 * @param lsnOf how far a node is, null when it does not count
 */
export function quorumLsn(configuration: Configuration, lsnOf: (node: NodeId) => Lsn | null): Lsn | null {
  const reached = (members: readonly NodeId[]): Lsn | null => {
    const lsns = members.map(lsnOf).filter((lsn) => lsn !== null);
    return lsns.toSorted((a, b) => b - a)[quorumSize(members.length) - 1] ?? null;
  };
  const old = reached(configuration.members);
  if (old === null || configuration.newMembers === null) return old;
  const added = reached(configuration.newMembers);
  return added !== null && old < added ? old : added;
}
