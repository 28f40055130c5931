import { formatLsn } from '@zenith/base';
import {
  createBranch,
  drawBranchTree,
  listBranches,
  MAIN_BRANCH,
  PageserverClient,
  type Branch,
  type JsonValue,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatBytes, formatTable } from '../output/table.ts';

function branchJson({ name, timeline, record, createdAt, isProtected }: Branch): { readonly [key: string]: JsonValue } {
  const { ancestor, startLsn } = record;
  return {
    name,
    timeline,
    ancestor: ancestor ?? null,
    startLsn: formatLsn(startLsn),
    createdAt,
    protected: isProtected,
  };
}

/** `zenith branch`: the tree of branches. */
export async function branchTree(context: CommandContext): CommandResult {
  const branches = await listBranches(repositoryOf(context));
  const nodes = branches.map(({ name, timeline, record }) => ({
    name,
    timeline,
    ancestor: record.ancestor,
    startLsn: record.startLsn,
  }));
  for (const line of drawBranchTree(nodes)) context.output.line(line);
  return { branches: branches.map(branchJson) };
}

/** `zenith branch --sizes` */
export async function branchSizes(context: CommandContext): CommandResult {
  const repository = repositoryOf(context);
  const client = new PageserverClient(repository);
  const branches: { readonly [key: string]: JsonValue }[] = [];
  const rows: string[][] = [];
  for (const branch of await listBranches(repository)) {
    const { logicalBytes, historyBytes, uniqueBytes } = await client.sizes(branch.timeline);
    branches.push({ ...branchJson(branch), logicalBytes, historyBytes, uniqueBytes });
    rows.push([branch.name, ...[logicalBytes, historyBytes, uniqueBytes].map(formatBytes)]);
  }
  for (const line of formatTable([['BRANCH', 'LOGICAL', 'HISTORY', 'UNIQUE'], ...rows])) context.output.line(line);
  return { branches };
}

/** `zenith branch NAME [START]` */
export async function branchCreate(context: CommandContext, name: string, start: string = MAIN_BRANCH): CommandResult {
  const repository = repositoryOf(context);
  const before = performance.now();
  const branch = await createBranch(repository, name, start);
  const elapsedMs = Math.round((performance.now() - before) * 10) / 10;
  context.output.line(`Created branch '${name}' at ${formatLsn(branch.record.startLsn)}`);
  return { ...branchJson(branch), elapsedMs };
}
