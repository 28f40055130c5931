import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import type { Tokens } from '@zenith/auth';
import { assert, formatLsn, type Lsn } from '@zenith/base';
import { chooseOsUser, ComputeError, exportCluster, type Exported } from '@zenith/compute';
import { findOrigin, resolvePosition } from '../branches/create-branch.ts';
import type { Origin } from '../branches/new-timeline.ts';
import { parseStartPoint } from '../branches/start-point.ts';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { issueToken } from '../credentials/key-ring.ts';
import { runningSupervisor } from '../endpoints/endpoint-process.ts';
import { ControlPlaneError, oneLine, throwIfInterrupted } from '../errors.ts';
import { requireNodes } from '../nodes/start-stop.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf, votersOf } from '../safekeepers/safekeepers.ts';

/** Longest wait for the pageserver to have ingested what is copied. Unit: milliseconds. */
const INGEST_TIMEOUT_MS = 60_000;

/** For how long the pageserver keeps what a copy that is not heard of any more may read, and how often that is prolonged. Unit: milliseconds. */
const LEASE_MS = 60 * 60 * 1000;
const RENEWAL_MS = 5 * 60 * 1000;

/** Who a standby says it is. */
const STANDBY_USER = 'standby';

/** What is to be copied where. */
export interface BranchExport {
  /** As a user writes it: `main`, `main@0/16B3D98`, `main@'2026-11-22 10:00:00'`. */
  readonly from: string;
  /** Absolute path; nothing is there, or an empty folder. */
  readonly directory: string;
  /** A standby, which follows the branch from the start of its running compute on. */
  readonly standby: boolean;
  readonly onProgress: (copied: number, blocks: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What was copied. */
export interface ExportedBranch extends Exported {
  readonly origin: Origin;
  readonly directory: string;
}

/**
 * Copies a branch as it was at an LSN into a data directory that a stock PostgreSQL runs by itself. The branch is not touched, and a compute on it goes on. A copy that fails leaves nothing behind.
 * @throws ControlPlaneError `invalid-option` the directory is not empty; `not-running` a service that is needed, and for a standby the branch's PostgreSQL; those of {@link resolvePosition}; `service-failed`, `interrupted`
 */
export async function exportBranch(repository: Repository, wanted: BranchExport): Promise<ExportedBranch> {
  const { directory, signal } = wanted;
  const startPoint = parseStartPoint(wanted.from);
  requireEmpty(directory);
  requireAbsent(`${directory}.tablespaces`);
  requireAbsent(`${directory}.presence`);
  await requireNodes(repository);
  const { timeline, named } = await findOrigin(repository, startPoint);
  if (wanted.standby && (startPoint.lsn !== undefined || startPoint.time !== undefined))
    throw new ControlPlaneError(
      'invalid-option',
      'a standby begins where the running compute of its branch began: give the branch alone',
    );
  const origin = wanted.standby
    ? { timeline, lsn: await computeStart(repository, timeline.id, named) }
    : await resolvePosition(repository, timeline, startPoint, named);
  const { tenant, pageserver, host, osUser } = repository.config;
  const { id, systemId, pgMajor } = origin.timeline;
  const client = new PageserverClient(repository);
  await client.waitForLsn(id, origin.lsn, INGEST_TIMEOUT_MS);
  const holder = `export-${randomUUID()}`;
  await client.lease(id, holder, origin.lsn, LEASE_MS);
  // One that fails is made up for by the next; what the lease kept is said by whoever reads it in vain.
  const renewal = setInterval(
    () => void client.lease(id, holder, origin.lsn, LEASE_MS).catch(() => undefined),
    RENEWAL_MS,
  );
  try {
    const { uid, gid, spawnAs } = chooseOsUser(osUser ?? undefined);
    const exported = await exportCluster({
      tenant,
      timeline: id,
      systemId,
      major: pgMajor,
      lsn: origin.lsn,
      directory,
      owner: spawnAs.uid === undefined ? undefined : { uid, gid },
      pageserver: { host, ...pageserver },
      tokens: await tokensOf(repository),
      origin: `${named} at ${formatLsn(origin.lsn)}`,
      standby: wanted.standby ? { primaryConninfo: await conninfo(repository, id) } : undefined,
      onProgress: wanted.onProgress,
      signal,
      nowMs: Date.now(),
    });
    return { ...exported, origin, directory };
  } catch (error) {
    for (const path of [directory, `${directory}.tablespaces`, `${directory}.presence`])
      rmSync(path, { recursive: true, force: true });
    throwIfInterrupted(signal);
    if (error instanceof ComputeError || isExpected(error))
      throw new ControlPlaneError('service-failed', `the copy failed: ${oneLine(error)}`, { cause: error });
    throw error;
  } finally {
    clearInterval(renewal);
    // It ends by itself when that cannot be said.
    await client.releaseLease(id, holder).catch(() => undefined);
  }
}

/** Errors of the page protocol, of damaged data and of the system; anything else is a defect. */
function isExpected(error: unknown): boolean {
  return error instanceof Error && (['PageError', 'CorruptionError'].includes(error.name) || 'syscall' in error);
}

function requireEmpty(directory: string): void {
  if (!existsSync(directory)) return;
  let isEmpty = false;
  try {
    isEmpty = readdirSync(directory).length === 0;
    if (isEmpty) rmdirSync(directory); // it is made again, with PostgreSQL's rights
  } catch (error) {
    throw new ControlPlaneError('system', `${directory} cannot be used: ${oneLine(error)}`, { cause: error });
  }
  if (!isEmpty) throw new ControlPlaneError('invalid-option', `${directory} is not empty: name a new folder`);
}

function requireAbsent(path: string): void {
  if (existsSync(path))
    throw new ControlPlaneError('invalid-option', `${path} is in the way: remove it, or name another folder`);
}

/** Where the running compute of a timeline began: its first checkpoint is in the WAL. */
async function computeStart(repository: Repository, timeline: Origin['timeline']['id'], named: string): Promise<Lsn> {
  const supervisor = await runningSupervisor(repository, timeline);
  const startLsn = supervisor === undefined ? undefined : (await supervisor.status()).startLsn;
  if (startLsn === undefined || startLsn === null)
    throw new ControlPlaneError(
      'not-running',
      `no PostgreSQL runs on ${named}: a standby begins at the checkpoint of one; start it with 'zenith pg start'`,
    );
  return startLsn;
}

/** For {@link Tokens} of a command that lives for as long as it copies: they are looked at when a connection begins. */
async function tokensOf({ operator }: Repository): Promise<Tokens> {
  const token = await operator.token();
  return { trust: operator.trust, token: () => token };
}

/** Every safekeeper that votes, so that a standby goes on with another when the one it follows is gone; with a token for this WAL that is good until its key is removed. */
async function conninfo(repository: Repository, timeline: Origin['timeline']['id']): Promise<string> {
  const { host, tenant, auth } = repository.config;
  const token = auth
    ? (await issueToken(repository, { role: 'reader', tenant, timeline }, undefined)).token
    : undefined;
  const voters = votersOf(await safekeepersOf(repository));
  assert(voters.length > 0, 'there are safekeepers');
  const hosts = voters.map(() => host).join(',');
  const ports = voters.map(({ port }) => port).join(',');
  return `host=${hosts} port=${ports} user=${STANDBY_USER}${token === undefined ? '' : ` password=${token}`}${repository.operator.trust === undefined ? '' : ' sslmode=require'} options='-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}'`;
}
