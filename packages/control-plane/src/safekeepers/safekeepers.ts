import { allMembers, nodeId, type NodeId } from '@zenith/consensus';
import { ControlPlaneError } from '../errors.ts';
import type { SafekeeperRecord, SafekeepersRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';

/** The safekeepers as they are now, with the revision of the metadata that says so; 0 for those that `zenith init` made. */
export async function readSafekeepers({
  catalog,
  config,
}: Repository): Promise<{ readonly record: SafekeepersRecord; readonly revision: number }> {
  const stored = await catalog.safekeepers();
  if (stored !== undefined) return stored;
  const nodes = config.safekeepers.map((node) => ({ ...node, id: nodeId(node.id) }));
  const members = nodes.map(({ id }) => id);
  const configuration = { generation: 1, members, newMembers: null };
  return { record: { nodes, configuration, lastId: Math.max(...members) }, revision: 0 };
}

/** The safekeepers as they are now. */
export async function safekeepersOf(repository: Repository): Promise<SafekeepersRecord> {
  return (await readSafekeepers(repository)).record;
}

/** Where the safekeeper of this id is. @throws ControlPlaneError `no-such-safekeeper` */
export function nodeOf({ nodes }: SafekeepersRecord, id: NodeId): SafekeeperRecord {
  const node = nodes.find((one) => one.id === id);
  if (node === undefined)
    throw new ControlPlaneError(
      'no-such-safekeeper',
      `there is no safekeeper ${id}; 'zenith safekeeper list' lists those there are`,
    );
  return node;
}

/** Those that vote, of both sets while the members change. */
export function votersOf(record: SafekeepersRecord): readonly SafekeeperRecord[] {
  return allMembers(record.configuration).map((id) => nodeOf(record, id));
}
