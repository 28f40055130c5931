import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mintToken, SERVICE_TOKEN_FILE, timelineTokenFile, type AuthOptions, type Identity } from '@zenith/auth';
import { ControlPlaneError } from '../errors.ts';
import { ancestorsOf } from '../endpoints/compute-config.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import { replaceFile } from '../metadata/replace-file.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';
import { keyError } from './signing-key.ts';

/** Longest wait for another command that changes keys. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 30_000;

/** Under which name the pageserver has its tokens. */
export const PAGESERVER_HOLDER = 'pageserver';

/** Under which name a safekeeper has its tokens. */
export function safekeeperHolder(id: number): string {
  return `safekeeper-${id}`;
}

/** Under which name the compute of an endpoint has its tokens. */
export function computeHolder(endpoint: string): string {
  return `compute-${endpoint}`;
}

/** The part of a service's configuration that has it ask for tokens and show its own; undefined where none are required. */
export function authOptions({ config, layout }: Repository, holder: string): AuthOptions | undefined {
  return config.auth ? { keys: layout.auth.keys, tokens: layout.auth.tokens(holder) } : undefined;
}

/** No key comes or goes, and no token is written by others, while `work` runs. @throws ControlPlaneError `busy` */
export function withAuthLock<T>({ layout }: Repository, work: () => Promise<T>): Promise<T> {
  return withProcessLock(layout.locks, 'auth', { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is changing keys' }, work);
}

/** Signs what a storage node is to show; nothing where no tokens are required. @throws ControlPlaneError `repository-invalid` when there is no key, `system` */
export async function issueNodeTokens(repository: Repository, node: { readonly holder: string }): Promise<void> {
  if (repository.config.auth)
    await withAuthLock(repository, () => write(repository, node.holder, nodeTokens(repository, node.holder)));
}

/**
 * Signs what a compute is to show, for its timeline and for its timeline's ancestors; nothing where no tokens are required. What it had for other timelines is removed.
 * @throws ControlPlaneError `repository-invalid` when there is no key, `system`
 */
export async function issueComputeTokens(
  repository: Repository,
  endpoint: string,
  timeline: TimelineRecord,
  ancestors: readonly TimelineRecord[],
): Promise<void> {
  if (repository.config.auth)
    await withAuthLock(repository, () =>
      write(repository, computeHolder(endpoint), computeTokens(repository, timeline, ancestors)),
    );
}

/** Signs all tokens anew that services have. The caller holds the lock. */
export async function reissueTokens(repository: Repository): Promise<void> {
  const { catalog, layout } = repository;
  const { nodes } = await safekeepersOf(repository);
  for (const holder of [PAGESERVER_HOLDER, ...nodes.map(({ id }) => safekeeperHolder(id))])
    await write(repository, holder, nodeTokens(repository, holder));
  for (const { name, branch } of await catalog.endpoints()) {
    if (filesIn(layout.auth.tokens(computeHolder(name))).length === 0) continue; // it never ran
    const timeline = await catalog.timeline((await catalog.branch(branch)).timeline);
    const tokens = computeTokens(repository, timeline, await ancestorsOf(repository, timeline));
    await write(repository, computeHolder(name), tokens);
  }
}

/** Removes what somebody held who is no more. Its tokens stay good until their key is removed, but nobody has them. */
export function forgetTokens({ layout }: Repository, holder: string): void {
  rmSync(layout.auth.tokens(holder), { recursive: true, force: true });
}

function nodeTokens({ config: { tenant } }: Repository, holder: string): Map<string, Identity> {
  const identity: Identity = holder === PAGESERVER_HOLDER ? { role: 'pageserver' } : { role: 'safekeeper', tenant };
  return new Map([[SERVICE_TOKEN_FILE, identity]]);
}

function computeTokens(
  { config: { tenant } }: Repository,
  timeline: TimelineRecord,
  ancestors: readonly TimelineRecord[],
): Map<string, Identity> {
  const own: Identity = { role: 'compute', tenant, timeline: timeline.id };
  return new Map([
    [timelineTokenFile(timeline.id), own],
    ...ancestors.map(({ id }): [string, Identity] => [timelineTokenFile(id), { role: 'reader', tenant, timeline: id }]),
  ]);
}

/** Makes a holder's tokens these. Each is replaced in one step: a service that runs finds the old or the new one. */
async function write({ layout }: Repository, holder: string, tokens: ReadonlyMap<string, Identity>): Promise<void> {
  const folder = layout.auth.tokens(holder);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new ControlPlaneError('system', `cannot make ${folder}: ${(error as Error).message}`, { cause: error });
  }
  for (const [name, identity] of tokens) {
    const token = await mintToken(layout.auth.signingKey, identity).catch((error: unknown) => {
      throw keyError(error);
    });
    replaceFile(join(folder, name), `${token}\n`);
  }
  for (const name of filesIn(folder)) if (!tokens.has(name)) rmSync(join(folder, name), { force: true });
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // there is no such folder yet
    throw error;
  }
}
