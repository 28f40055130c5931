import { formatLsn } from '@zenith/base';
import {
  abortMemberChange,
  changeMembers,
  describeRestored,
  nodeStatus,
  restoreSafekeepers,
  safekeeperNode,
  safekeepersOf,
  type ChangedMembers,
  type ChangeOptions,
  type JsonValue,
  type MemberChange,
  type SafekeepersRecord,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatTable } from '../output/table.ts';

type Id = SafekeepersRecord['nodes'][number]['id'];

/** What a safekeeper is in the configuration. */
function roleOf({ configuration }: SafekeepersRecord, id: Id): string {
  const { members, newMembers } = configuration;
  const isOld = members.includes(id);
  const isNew = (newMembers ?? members).includes(id);
  if (isOld && isNew) return 'member';
  if (isOld) return 'leaving';
  return isNew ? 'joining' : 'not a member';
}

/** `zenith safekeeper list` */
export async function safekeeperList(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  const record = await safekeepersOf(repository);
  const listed = await Promise.all(
    record.nodes.map(async (node) => ({
      ...(await nodeStatus(safekeeperNode(repository, node))),
      id: node.id,
      role: roleOf(record, node.id),
    })),
  );
  const rows = listed.map(({ id, role, state, node, pid, message }) => [
    String(id),
    role,
    state,
    `${node.host}:${node.port}`,
    `${node.host}:${node.httpPort}`,
    pid === undefined ? '-' : String(pid),
    message ?? '',
  ]);
  for (const line of formatTable([['SAFEKEEPER', 'ROLE', 'STATUS', 'ADDRESS', 'HTTP', 'PID', ''], ...rows]))
    context.output.line(line);
  const { generation, members, newMembers } = record.configuration;
  if (newMembers !== null)
    context.output.line(
      `The members are being changed from ${members.join(', ')} to ${newMembers.join(', ')}: give that command again, or 'zenith safekeeper abort'`,
    );
  return {
    generation,
    members,
    newMembers,
    safekeepers: listed.map(({ id, role, state, node, pid, message }) => ({
      id,
      role,
      status: state,
      host: node.host,
      port: node.port,
      httpPort: node.httpPort,
      pid: pid ?? null,
      message: message ?? null,
    })),
  };
}

function optionsOf(context: CommandContext): ChangeOptions {
  return {
    signal: context.signal,
    onProgress: (doing) => context.output.line(`${doing[0]?.toUpperCase() ?? ''}${doing.slice(1)}…`),
  };
}

function changedJson({ members, added }: ChangedMembers): JsonValue {
  return { members, added: added ?? null };
}

/** `zenith safekeeper add|remove|replace` */
export async function safekeeperChange(context: CommandContext, change: MemberChange): CommandResult {
  const repository = repositoryOf(context);
  const changed = await changeMembers(repository, change, optionsOf(context));
  context.output.line(`The safekeepers are ${changed.members.join(', ')}`);
  if (change.kind !== 'add')
    context.output.line(
      `Safekeeper ${change.id} has left and was stopped; nothing needs its files in ${repository.layout.safekeeper(change.id).dataDir} any more`,
    );
  return changedJson(changed);
}

/** `zenith safekeeper restore` */
export async function safekeeperRestore(context: CommandContext): CommandResult {
  const restored = await restoreSafekeepers(repositoryOf(context));
  for (const one of restored) context.output.line(describeRestored(one));
  return restored.map(({ branch, outcome, endLsn, ingestedLsn }) => ({
    branch,
    outcome,
    endLsn: endLsn === undefined ? null : formatLsn(endLsn),
    ingestedLsn: formatLsn(ingestedLsn),
  }));
}

/** `zenith safekeeper abort` */
export async function safekeeperAbort(context: CommandContext): CommandResult {
  const changed = await abortMemberChange(repositoryOf(context), optionsOf(context));
  context.output.line(`The safekeepers are ${changed.members.join(', ')}`);
  return changedJson(changed);
}
