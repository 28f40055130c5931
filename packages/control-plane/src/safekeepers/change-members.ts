import {
  abortedConfiguration,
  finalConfiguration,
  jointConfiguration,
  type Configuration,
  type NodeId,
} from '@zenith/consensus';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { forgetTokens, safekeeperHolder } from '../credentials/holders.ts';
import { reservedPorts } from '../endpoints/endpoints.ts';
import { ControlPlaneError, throwIfInterrupted } from '../errors.ts';
import type { SafekeeperRecord, SafekeepersRecord } from '../metadata/records.ts';
import { nodeProcess, pageserverNode, safekeeperNode } from '../nodes/node.ts';
import { safekeeperAddresses } from '../nodes/service-config.ts';
import { startNode, stopOneNode, type NodeOptions } from '../nodes/start-stop.ts';
import { findFreePort } from '../process/ports.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { clientOf, installFinal, synchronizeTimeline } from './install.ts';
import { membersAfter, removedBy, stageOf, type MemberChange } from './member-change.ts';
import { shareRemoved } from './removed-timelines.ts';
import { nodeOf, readSafekeepers } from './safekeepers.ts';

/** Longest wait for another command that changes the members. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 300_000;

/** How a change is made. */
export interface ChangeOptions extends NodeOptions {
  /** Told, in words for a person, what is being done. */
  readonly onProgress?: (doing: string) => void;
}

/** What a change came to. */
export interface ChangedMembers {
  readonly members: readonly NodeId[];
  /** Who joined; undefined when nobody did. */
  readonly added: NodeId | undefined;
}

/**
 * Changes who votes while commits go on, in the steps of the consensus package's `membership/change.ts`. The metadata store says after each step how far it is, so that a command that was killed is gone on with by giving it
 * again; computes and pageserver keep running. A safekeeper that joins first copies the WAL there is, and only then counts.
 * @throws ControlPlaneError `members-changing`, `no-such-safekeeper`, `last-safekeeper`, `invalid-option`; `not-running`, `service-timeout`, `service-failed`, …: give the command again
 */
export function changeMembers(
  repository: Repository,
  change: MemberChange,
  options: ChangeOptions = {},
): Promise<ChangedMembers> {
  return lockMembers(repository, options, async () => {
    const { record } = await readSafekeepers(repository);
    const stage = stageOf(record, change);
    if (stage.kind === 'to-begin') await begin(repository, change, stage.added, options);
    if (stage.kind !== 'to-tidy') await carryOver(repository, options);
    const removed = removedBy(change);
    await settle(repository, removed, options);
    const { members } = (await readSafekeepers(repository)).record.configuration;
    return { members, added: members.find((id) => !record.configuration.members.includes(id)) };
  });
}

/** Takes a change back that has not come to its end; nothing to do when there is none. @throws as {@link changeMembers} does */
export function abortMemberChange(repository: Repository, options: ChangeOptions = {}): Promise<ChangedMembers> {
  return lockMembers(repository, options, async () => {
    const { record, revision } = await readSafekeepers(repository);
    const { configuration } = record;
    if (configuration.newMembers !== null)
      await repository.catalog.replaceSafekeepers(
        { ...record, configuration: abortedConfiguration(configuration) },
        revision,
      );
    await settle(repository, undefined, options);
    return { members: configuration.members, added: undefined };
  });
}

function lockMembers<T>(repository: Repository, { signal }: ChangeOptions, work: () => Promise<T>): Promise<T> {
  return withProcessLock(
    repository.layout.locks,
    'safekeepers',
    { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is changing the safekeepers', signal },
    work,
  );
}

/** Makes and fills who joins, then stores the joint configuration. Before that nothing has changed for anybody. */
async function begin(
  repository: Repository,
  change: MemberChange,
  spare: SafekeeperRecord | undefined,
  options: ChangeOptions,
): Promise<void> {
  let added: SafekeeperRecord | undefined;
  if (change.kind !== 'remove') {
    added = spare ?? (await makeNode(repository));
    options.onProgress?.(`starting safekeeper ${added.id}`);
    await startNode(repository, safekeeperNode(repository, added), { signal: options.signal });
    options.onProgress?.(`copying the WAL to safekeeper ${added.id}`);
    await fill(repository, added, options);
  }
  throwIfInterrupted(options.signal);
  const { record, revision } = await readSafekeepers(repository);
  const { configuration } = record;
  const joint = jointConfiguration(configuration, membersAfter(configuration.members, change, added?.id));
  await repository.catalog.replaceSafekeepers({ ...record, configuration: joint }, revision);
}

/** A safekeeper that is in no configuration yet, with ports of its own; its files are made when it starts. */
async function makeNode(repository: Repository): Promise<SafekeeperRecord> {
  const { catalog, config } = repository;
  const { record, revision } = await readSafekeepers(repository);
  const reserved = new Set((await reservedPorts(repository, await catalog.endpoints())).keys());
  const after = (ports: readonly number[]): number => Math.max(...ports) + 1;
  const port = await findFreePort(config.host, after(record.nodes.map((node) => node.port)), reserved);
  const httpFirst = after(record.nodes.map((node) => node.httpPort));
  const httpPort = await findFreePort(config.host, httpFirst, new Set([...reserved, port]));
  const node: SafekeeperRecord = { id: (record.lastId + 1) as NodeId, port, httpPort };
  await catalog.replaceSafekeepers({ ...record, nodes: [...record.nodes, node], lastId: node.id }, revision);
  return node;
}

/** Copies every timeline that the members know to a safekeeper that is about to join, and which were removed. */
async function fill(repository: Repository, added: SafekeeperRecord, { signal }: ChangeOptions): Promise<void> {
  const { record } = await readSafekeepers(repository);
  const { members } = record.configuration;
  const donors = safekeeperAddresses(repository.config, {
    ...record,
    nodes: record.nodes.filter(({ id }) => members.includes(id)),
  });
  const asked = await Promise.allSettled(members.map((id) => clientOf(repository, record, id).timelines()));
  const answers = asked.filter((one) => one.status === 'fulfilled').map((one) => one.value);
  if (answers.length === 0)
    throw new ControlPlaneError('not-running', "no safekeeper answers: start them with 'zenith start'");
  const removed = await shareRemoved(repository, record, members, [added.id]);
  const client = clientOf(repository, record, added.id);
  for (const timeline of new Set(answers.flat().map((one) => one.timeline))) {
    throwIfInterrupted(signal);
    if (removed.has(timeline)) continue; // whoever has it has not been told yet
    await client.pull(timeline, donors);
  }
}

/** From the joint configuration to the final one. */
async function carryOver(repository: Repository, options: ChangeOptions): Promise<void> {
  const { record, revision } = await readSafekeepers(repository);
  const { configuration } = record;
  const added = (configuration.newMembers ?? []).filter((id) => !configuration.members.includes(id));
  for (const id of added) await startNode(repository, safekeeperNode(repository, nodeOf(record, id)), options);
  await tellNodes(repository, record);
  options.onProgress?.(`from ${describe(configuration)}`);
  for (const timeline of await repository.catalog.timelines()) {
    throwIfInterrupted(options.signal);
    await synchronizeTimeline(repository, record, timeline, added);
  }
  await repository.catalog.replaceSafekeepers(
    { ...record, configuration: finalConfiguration(configuration) },
    revision,
  );
}

function describe({ members, newMembers }: Configuration): string {
  return `${members.join(', ')} to ${(newMembers ?? members).join(', ')}`;
}

/** Tells everybody that the change is over, ends whoever left, and forgets it. Its files stay. */
async function settle(repository: Repository, removed: NodeId | undefined, options: ChangeOptions): Promise<void> {
  const { record, revision } = await readSafekeepers(repository);
  for (const timeline of await repository.catalog.timelines()) await installFinal(repository, record, timeline);
  if (removed === undefined) return tellNodes(repository, record);
  const remaining = { ...record, nodes: record.nodes.filter(({ id }) => id !== removed) };
  await tellNodes(repository, remaining);
  await stopOneNode(repository, safekeeperNode(repository, nodeOf(record, removed)), options);
  await repository.catalog.replaceSafekeepers(remaining, revision);
  forgetTokens(repository, safekeeperHolder(removed));
}

/** Tells the storage nodes where the safekeepers are. One that does not run reads it when it starts; so does a safekeeper that does not answer, which lacks only a source of WAL that it may have missed. */
async function tellNodes(repository: Repository, record: SafekeepersRecord): Promise<void> {
  const addresses = safekeeperAddresses(repository.config, record);
  const running = record.nodes.filter((node) => nodeProcess(safekeeperNode(repository, node)) !== undefined);
  await Promise.allSettled(running.map(({ id }) => clientOf(repository, record, id).learnPeers(addresses)));
  if (nodeProcess(pageserverNode(repository)) !== undefined)
    await new PageserverClient(repository).replaceSafekeepers(addresses);
}
