import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { expect } from 'vitest';
import type { Zenith } from './zenith.ts';

/** What a pageserver says of a timeline. */
export interface TimelineJson {
  readonly lastRecordLsn: string;
  readonly diskConsistentLsn: string;
  readonly remoteConsistentLsn: string;
  readonly frozenLayers: number;
  readonly flushError: string | null;
  readonly uploads: string;
  readonly uploadError: string | null;
}

/** Longest that an upload may take. Unit: ms. */
const UPLOAD_MAX_MS = 60_000;

async function timelineUrl(zenith: Zenith, branch: string): Promise<string> {
  const { tenant, timeline, pageserverHttpPort } = await zenith.branch(branch);
  return `http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline/${timeline}`;
}

/** A branch, as the pageserver has it. */
export async function pageserverTimeline(zenith: Zenith, branch: string): Promise<TimelineJson> {
  return (await (await fetch(await timelineUrl(zenith, branch))).json()) as TimelineJson;
}

/** Has the pageserver take in and flush what is committed on a branch; gives the LSN up to which it is durable there. */
export async function flushBranch(zenith: Zenith, branch: string): Promise<Lsn> {
  const url = await timelineUrl(zenith, branch);
  // What was committed reaches the pageserver in its own time; only what it has taken in is flushed.
  const lsn = formatLsn((await zenith.branch(branch)).commitLsn);
  const waited = await fetch(`${url}/wait`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lsn, timeoutMs: UPLOAD_MAX_MS }),
  });
  expect(waited.status).toBe(200);
  const flushed = (await (await fetch(`${url}/checkpoint`, { method: 'POST' })).json()) as TimelineJson;
  return parseLsn(flushed.diskConsistentLsn);
}

/** Has the pageserver flush and upload a branch; gives the LSN up to which it says that remote storage has it. */
export async function uploadBranch(zenith: Zenith, branch: string): Promise<Lsn> {
  const flushed = await flushBranch(zenith, branch);
  const url = await timelineUrl(zenith, branch);
  for (const end = Date.now() + UPLOAD_MAX_MS; Date.now() < end;) {
    const now = (await (await fetch(url)).json()) as TimelineJson;
    if (parseLsn(now.remoteConsistentLsn) >= flushed) return parseLsn(now.remoteConsistentLsn);
    await new Promise((resolve) => setTimeout(resolve, 20)); // uploads tell nobody when they are done
  }
  throw new Error(`${branch} was not uploaded: ${await (await fetch(url)).text()}`);
}

/** Has the pageserver upload a branch, and remove what nobody needs any more. */
export async function settleBranch(zenith: Zenith, branch: string): Promise<void> {
  await uploadBranch(zenith, branch);
  const uploads = async (): Promise<string> => (await pageserverTimeline(zenith, branch)).uploads;
  await expect.poll(uploads, { timeout: UPLOAD_MAX_MS }).toBe('idle');
}
