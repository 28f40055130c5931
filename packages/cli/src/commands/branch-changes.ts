import { formatLsn } from '@zenith/base';
import {
  ControlPlaneError,
  deleteBranch,
  oneLine,
  parsePosition,
  protectBranch,
  renameBranch,
  resetBranch,
  restoreBranch,
  type Removal,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';

/** Says what is not removed yet: the change itself is made. */
function tellPending({ output }: CommandContext, { pending }: Removal): { readonly pending: readonly string[] } {
  const messages = pending.map(oneLine);
  if (messages[0] !== undefined)
    output.line(
      `Its data are not all removed yet (${messages[0]}); 'zenith start' or the next change of a branch goes on`,
    );
  return { pending: messages };
}

/** `zenith branch delete NAME` */
export async function branchDelete(
  context: CommandContext,
  name: string,
  { ifExists = false }: { readonly ifExists?: boolean } = {},
): CommandResult {
  try {
    const removal = await deleteBranch(repositoryOf(context), name);
    context.output.line(`Deleted branch '${name}'`);
    return { name, deleted: true, ...tellPending(context, removal) };
  } catch (error) {
    if (!ifExists || !(error instanceof ControlPlaneError) || error.code !== 'no-such-branch') throw error;
    context.output.line(`There is no branch '${name}'`);
    return { name, deleted: false, pending: [] };
  }
}

/** `zenith branch rename NAME NEW` */
export async function branchRename(context: CommandContext, name: string, to: string): CommandResult {
  await renameBranch(repositoryOf(context), name, to);
  context.output.line(`Branch '${name}' is '${to}' now`);
  return { name: to, formerName: name };
}

/** `zenith branch protect NAME` and `zenith branch unprotect NAME` */
export async function branchProtect(context: CommandContext, name: string, isProtected: boolean): CommandResult {
  await protectBranch(repositoryOf(context), name, isProtected);
  context.output.line(`Branch '${name}' is ${isProtected ? '' : 'not '}protected${isProtected ? '' : ' any more'}`);
  return { name, protected: isProtected };
}

/** `zenith branch reset NAME` */
export async function branchReset(
  context: CommandContext,
  name: string,
  { keepAs }: { readonly keepAs?: string },
): CommandResult {
  const branch = await resetBranch(repositoryOf(context), name, keepAs);
  const startLsn = formatLsn(branch.record.startLsn);
  const kept = keepAs === undefined ? '' : `; what it was is '${keepAs}'`;
  context.output.line(`Branch '${name}' starts at the end of its parent now, at ${startLsn}${kept}`);
  return { name, timeline: branch.timeline, startLsn, keptAs: keepAs ?? null, ...tellPending(context, branch) };
}

/** `zenith branch restore NAME --to LSN|TIME` */
export async function branchRestore(
  context: CommandContext,
  name: string,
  options: { readonly to: string; readonly keepAs?: string },
): CommandResult {
  const to = parsePosition(options.to);
  const keepAs = options.keepAs ?? `${name}_before_${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
  const branch = await restoreBranch(repositoryOf(context), name, to, keepAs);
  const startLsn = formatLsn(branch.record.startLsn);
  context.output.line(`Branch '${name}' is what it was at ${startLsn}; what it was until now is '${keepAs}'`);
  return { name, timeline: branch.timeline, startLsn, keptAs: keepAs, ...tellPending(context, branch) };
}
