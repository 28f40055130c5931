import { randomBytes } from 'node:crypto';
import { formatLsn, parseLsn } from '@zenith/base';
import {
  listLeases,
  parseHistoryTime,
  releaseLease,
  takeLease,
  type BranchLease,
  type JsonValue,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatTable } from '../output/table.ts';

/** What `zenith lease` may be given beside the branch. */
export interface LeaseOptions {
  readonly lsn?: string;
  readonly for: string;
  readonly name?: string;
}

function leaseJson({ branch, holder, lsn, until }: BranchLease): { readonly [key: string]: JsonValue } {
  return { branch, name: holder, lsn: formatLsn(lsn), until: new Date(until).toISOString() };
}

/** `zenith lease BRANCH` */
export async function leaseTake(context: CommandContext, branch: string, options: LeaseOptions): CommandResult {
  const lease = await takeLease(repositoryOf(context), {
    branch,
    lsn: options.lsn === undefined ? undefined : parseLsn(options.lsn),
    durationMs: parseHistoryTime(options.for),
    holder: options.name ?? `lease-${randomBytes(4).toString('hex')}`,
  });
  const { until } = lease;
  context.output.line(
    `${formatLsn(lease.lsn)} of '${branch}' can be read until ${new Date(until).toISOString()}, lease ${lease.holder}`,
  );
  return leaseJson(lease);
}

/** `zenith lease list [BRANCH]` */
export async function leaseList(context: CommandContext, branch: string | undefined): CommandResult {
  const leases = await listLeases(repositoryOf(context), branch);
  const rows = leases.map((one) => [one.branch, one.holder, formatLsn(one.lsn), new Date(one.until).toISOString()]);
  const lines = leases.length === 0 ? ['No leases'] : formatTable([['BRANCH', 'LEASE', 'LSN', 'UNTIL'], ...rows]);
  for (const line of lines) context.output.line(line);
  return { leases: leases.map(leaseJson) };
}

/** `zenith lease release BRANCH NAME` */
export async function leaseRelease(context: CommandContext, branch: string, name: string): CommandResult {
  await releaseLease(repositoryOf(context), branch, name);
  context.output.line(`Lease ${name} has ended`);
  return { branch, name };
}
