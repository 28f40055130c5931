import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, newTimelineId } from '@zenith/base';
import { pgbenchInitialize, pgbenchRun } from '../integration_tests/support/pgbench.ts';
import { Zenith } from '../integration_tests/support/zenith.ts';
import { atMost, type Measurement } from './support/report.ts';

/** Branches measured for one figure. */
const MEASURED = 20;

/** Branches of one parent in the large case. */
const MANY = 500;

/** Bound on what the pageserver itself takes. Unit: ms. */
const IN_PAGESERVER_MS = 10;

/** Bound on what a branch adds to disk and remote storage. Unit: KB. */
const ADDED_KB = 100;

const METRIC = 'zenith_pageserver_branch_creation_seconds';

/** The pageserver's own count and sum of the times it took to make branches. Unit: ms. */
async function creationTimes(httpPort: number): Promise<{ readonly count: number; readonly ms: number }> {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]);
  return { count: value(`${METRIC}_count`), ms: value(`${METRIC}_sum`) * 1000 };
}

/** Size on disk of all files below a folder; those that go meanwhile do not count. Unit: KB. */
function diskKilobytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.blocks ?? 0)
    .reduce((sum, blocks) => sum + blocks / 2, 0);
}

/** Makes branches by the command and gives how long the pageserver took for each, by its own metric. Unit: ms. */
export async function pageserverBranchTimes(zenith: Zenith, prefix: string, count: number): Promise<number[]> {
  const { pageserverHttpPort } = await zenith.branch('main');
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = await creationTimes(pageserverHttpPort);
    await zenith.run('branch', `${prefix}_${i}`, 'main');
    const after = await creationTimes(pageserverHttpPort);
    if (after.count !== before.count + 1) throw new Error(`${METRIC} did not count a branch`);
    times.push(after.ms - before.ms);
  }
  return times;
}

/** Makes timelines by the pageserver's own interface: that many names would only slow the command down. */
async function makeTimelines(zenith: Zenith, count: number): Promise<void> {
  const { tenant, timeline, commitLsn, pageserverHttpPort } = await zenith.branch('main');
  for (let i = 0; i < count; i++) {
    const answer = await fetch(`http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        timelineId: newTimelineId(),
        ancestorTimelineId: timeline,
        ancestorLsn: formatLsn(commitLsn),
      }),
    });
    if (!answer.ok) throw new Error(`the pageserver made no branch: ${await answer.text()}`);
  }
}

/** How long the pageserver takes to make a branch, by its own metric: with few and with 500 branches of one parent, and while pgbench writes to it; and what a branch adds to storage. */
export async function benchBranches(
  options: { readonly scale: number; readonly seconds: number },
  report: (measurement: Measurement) => void,
): Promise<void> {
  const zenith = await Zenith.init();
  try {
    await zenith.run('start');
    await zenith.startPostgres('main');
    const target = { port: zenith.port('main'), user: zenith.user };
    await pgbenchInitialize(target, options.scale);
    const timesOf = (prefix: string): Promise<number[]> => pageserverBranchTimes(zenith, prefix, MEASURED);
    report(atMost('branch inside the pageserver, few branches', await timesOf('few'), IN_PAGESERVER_MS));

    const folders = ['pageserver', 'remote'].map((name) => join(zenith.repository, name));
    const stored = (): number => folders.reduce((sum, folder) => sum + diskKilobytes(folder), 0);
    const before = stored();
    await makeTimelines(zenith, MANY);
    const added = (stored() - before) / MANY;
    report({
      name: 'storage that a branch adds',
      value: `${added.toFixed(1)} KB`,
      target: `≤ ${ADDED_KB} KB`,
      met: added <= ADDED_KB,
      detail: `mean of ${MANY}, on disk and in remote storage`,
    });
    report(atMost(`branch inside the pageserver, ${MANY} branches`, await timesOf('many'), IN_PAGESERVER_MS));

    const load = pgbenchRun(target, options.seconds);
    report(atMost('branch inside the pageserver, during pgbench -c 8', await timesOf('loaded'), IN_PAGESERVER_MS));
    await load;
  } finally {
    await zenith.destroy();
  }
}
