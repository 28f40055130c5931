import type { Configuration, NodeId } from '@zenith/consensus';
import { ControlPlaneError } from '../errors.ts';
import type { SafekeeperRecord, SafekeepersRecord } from '../metadata/records.ts';
import { SAFEKEEPERS_MAX } from '../repository/config.ts';
import { nodeOf } from './safekeepers.ts';

/** What is to become of the members: one more, one fewer, or another in the place of one. */
export type MemberChange = { readonly kind: 'add' } | { readonly kind: 'remove' | 'replace'; readonly id: NodeId };

/** Where a change stands when the command for it is given, for the first time or again after it was interrupted. */
export type ChangeStage =
  /** Not begun. `added` joins; undefined when it is yet to be made. Nobody joins for a removal. */
  | { readonly kind: 'to-begin'; readonly added: SafekeeperRecord | undefined }
  /** Begun by an earlier command: old and new members decide together. */
  | { readonly kind: 'joint'; readonly joint: Configuration }
  /** The members are as they should be; the safekeeper that left is still there. */
  | { readonly kind: 'to-tidy' };

/** Who is removed, undefined for an addition. */
export function removedBy(change: MemberChange): NodeId | undefined {
  return change.kind === 'add' ? undefined : change.id;
}

/** Finds out where a change stands. @throws ControlPlaneError `members-changing`, `no-such-safekeeper`, `last-safekeeper`, `invalid-option` */
export function stageOf(record: SafekeepersRecord, change: MemberChange): ChangeStage {
  const { members, newMembers } = record.configuration;
  if (newMembers !== null) {
    if (isChange(members, newMembers, change)) return { kind: 'joint', joint: record.configuration };
    throw new ControlPlaneError(
      'members-changing',
      `the members are being changed from ${members.join(', ')} to ${newMembers.join(', ')}: give that command again to end it, or take it back with 'zenith safekeeper abort'`,
    );
  }
  const removed = removedBy(change);
  if (removed !== undefined && !members.includes(removed)) {
    nodeOf(record, removed);
    return { kind: 'to-tidy' };
  }
  if (change.kind === 'remove' && members.length === 1)
    throw new ControlPlaneError('last-safekeeper', `safekeeper ${change.id} is the only one: replace it instead`);
  if (change.kind === 'add' && members.length >= SAFEKEEPERS_MAX)
    throw new ControlPlaneError(
      'invalid-option',
      `there are ${members.length} safekeepers, and no more than ${SAFEKEEPERS_MAX} can be`,
    );
  const spare = record.nodes.find(({ id }) => !members.includes(id));
  return { kind: 'to-begin', added: change.kind === 'remove' ? undefined : spare };
}

function isChange(members: readonly NodeId[], newMembers: readonly NodeId[], change: MemberChange): boolean {
  const left = members.filter((id) => !newMembers.includes(id));
  const came = newMembers.filter((id) => !members.includes(id));
  const removed = removedBy(change);
  return (
    came.length === (change.kind === 'remove' ? 0 : 1) &&
    left.length === (removed === undefined ? 0 : 1) &&
    left[0] === removed
  );
}

/** The members after the change. @param added the safekeeper that joins; not looked at for a removal */
export function membersAfter(members: readonly NodeId[], change: MemberChange, added: NodeId | undefined): NodeId[] {
  const removed = removedBy(change);
  const stay = members.filter((id) => id !== removed);
  return change.kind === 'remove' || added === undefined ? stay : [...stay, added];
}
