import { formatLsn, type Lsn } from '@zenith/base';
import type { Lease } from '../clients/answers.ts';
import { ServiceRefusal } from '../clients/http-json.ts';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { commitPoint } from '../branches/commit-point.ts';
import { alignLsn } from '../branches/start-point.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Repository } from '../repository/repository.ts';

/** Longest lease. Unit: ms. */
const LEASE_MAX_MS = 31 * 24 * 3600 * 1000;

/** Longest wait for the pageserver to have ingested what is committed. Unit: ms. */
const INGEST_TIMEOUT_MS = 60_000;

/** A lease and whose it is. */
export interface BranchLease extends Lease {
  readonly branch: string;
}

/** What a lease is to be. */
export interface WantedLease {
  readonly branch: string;
  /** Without it the branch's end. */
  readonly lsn: Lsn | undefined;
  /** Unit: ms. */
  readonly durationMs: number;
  /** Names it among the leases of the branch: one of that name is replaced. */
  readonly holder: string;
}

/**
 * Keeps an LSN of a branch readable for a time, whatever the history policy says: pages can be read and branches made there.
 * @throws ControlPlaneError `no-such-branch`, `invalid-option`, `lsn-in-future`, `not-running`; ServiceRefusal when the LSN is not kept any more
 */
export async function takeLease(repository: Repository, wanted: WantedLease): Promise<BranchLease> {
  const { branch: name, durationMs, holder } = wanted;
  if (durationMs < 1 || durationMs > LEASE_MAX_MS)
    throw new ControlPlaneError('invalid-option', 'a lease is for 1 second to 31 days; take it again to prolong it');
  const branch = await repository.catalog.branch(name);
  const end = await commitPoint(repository, await repository.catalog.timeline(branch.timeline));
  const lsn = wanted.lsn === undefined ? end : alignLsn(wanted.lsn);
  if (lsn > end)
    throw new ControlPlaneError(
      'lsn-in-future',
      `${formatLsn(lsn)} lies in the future of '${name}', which ends at ${formatLsn(end)}`,
    );
  const client = new PageserverClient(repository);
  await client.waitForLsn(branch.timeline, lsn, INGEST_TIMEOUT_MS);
  return { branch: name, ...(await client.lease(branch.timeline, holder, lsn, durationMs)) };
}

/** Leases, those of running computes too. @param name one branch; all without @throws ControlPlaneError `no-such-branch`, `not-running` */
export async function listLeases(repository: Repository, name?: string): Promise<readonly BranchLease[]> {
  const { catalog } = repository;
  const branches = name === undefined ? await catalog.branches() : [await catalog.branch(name)];
  const client = new PageserverClient(repository);
  const found: BranchLease[] = [];
  for (const { name: branch, timeline } of branches) {
    try {
      for (const lease of await client.leases(timeline)) found.push({ branch, ...lease });
    } catch (error) {
      // A branch that is being made, or removed.
      if (!(error instanceof ServiceRefusal) || error.status !== 404) throw error;
    }
  }
  return found;
}

/** Ends a lease. @throws ControlPlaneError `no-such-branch`, `no-such-lease`, `not-running` */
export async function releaseLease(repository: Repository, name: string, holder: string): Promise<void> {
  const branch = await repository.catalog.branch(name);
  const client = new PageserverClient(repository);
  if (!(await client.leases(branch.timeline)).some((lease) => lease.holder === holder))
    throw new ControlPlaneError(
      'no-such-lease',
      `no lease '${holder}' on '${name}'; 'zenith lease list ${name}' shows those there are`,
    );
  await client.releaseLease(branch.timeline, holder);
}
