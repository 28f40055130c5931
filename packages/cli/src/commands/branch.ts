import { formatLsn } from '@zenith/base';
import {
  createBranch,
  drawBranchTree,
  listBranches,
  MAIN_BRANCH,
  type Branch,
  type JsonValue,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';

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

/** `zenith branch NAME [START]` */
export async function branchCreate(context: CommandContext, name: string, start: string = MAIN_BRANCH): CommandResult {
  const repository = repositoryOf(context);
  const before = performance.now();
  const branch = await createBranch(repository, name, start);
  const elapsedMs = Math.round((performance.now() - before) * 10) / 10;
  context.output.line(`Created branch '${name}' at ${formatLsn(branch.record.startLsn)}`);
  return { ...branchJson(branch), elapsedMs };
}
