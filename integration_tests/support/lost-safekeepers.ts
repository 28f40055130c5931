import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn, type Lsn } from '@zenith/base';
import type { Zenith } from './zenith.ts';

/** Of WAL segments. Unit: bytes. */
export const SEGMENT_SIZE = 16 * 1024 * 1024;

/** How far a timeline is on one safekeeper. */
export interface SafekeeperTimeline {
  /** Everything below is archived. */
  readonly backupLsn: Lsn;
  /** Where the WAL on its disk begins. */
  readonly localStartLsn: Lsn;
  readonly commitLsn: Lsn;
}

/** What `zenith safekeeper restore` says of a branch. */
export interface RestoredJson {
  readonly branch: string;
  readonly outcome: string;
  readonly endLsn: string | null;
  readonly ingestedLsn: string;
}

/** A branch, as one safekeeper has it. */
export async function safekeeperTimeline(zenith: Zenith, branch: string, id: number): Promise<SafekeeperTimeline> {
  const { tenant, nodes, branches } = await zenith.status();
  const port = nodes.find((node) => node.service === 'safekeeper' && node.id === id)?.httpPort;
  const timeline = branches.find(({ name }) => name === branch)?.timeline;
  const response = await fetch(`http://127.0.0.1:${port}/v1/tenant/${tenant}/timeline/${timeline}`);
  const { backupLsn = '', localStartLsn = '', commitLsn = '' } = (await response.json()) as Record<string, string>;
  return {
    backupLsn: parseLsn(backupLsn),
    localStartLsn: parseLsn(localStartLsn),
    commitLsn: parseLsn(commitLsn),
  };
}

/** Kills every member and removes its disk. */
export async function loseSafekeepers(zenith: Zenith): Promise<void> {
  const { members } = await zenith.json<{ readonly members: readonly number[] }>('safekeeper', 'list');
  for (const id of members) await zenith.kill(`safekeeper ${id}`);
  for (const id of members) rmSync(join(zenith.repository, `safekeepers/${id}`), { recursive: true });
}

/** `zenith safekeeper restore`. */
export function restoreBranches(zenith: Zenith): Promise<RestoredJson[]> {
  return zenith.json<RestoredJson[]>('safekeeper', 'restore');
}

/** `zenith safekeeper restore`, and what it says of one branch. */
export async function restoreBranch(zenith: Zenith, branch: string): Promise<RestoredJson | undefined> {
  return (await restoreBranches(zenith)).find((one) => one.branch === branch);
}
