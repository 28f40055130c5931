import { formatLsn } from '@zenith/base';
import {
  commitPoint,
  findLsn,
  formatPointInTime,
  isoPointInTime,
  listBranches,
  parsePointInTime,
} from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';

/** `zenith lsn BRANCH [--at TIME]` */
export async function showLsn(context: CommandContext, name: string, { at }: { readonly at?: string }): CommandResult {
  const repository = repositoryOf(context);
  const time = at === undefined ? undefined : parsePointInTime(at);
  const branch = await repository.catalog.branch(name);
  const timeline = await repository.catalog.timeline(branch.timeline);
  const end = await commitPoint(repository, timeline);
  if (time === undefined) {
    context.output.line(formatLsn(end));
    return { branch: name, timeline: timeline.id, lsn: formatLsn(end) };
  }
  const found = await findLsn(repository, timeline, end, time);
  // What lies in an ancestor's WAL is given with the name of that branch: there the LSN counts.
  const owner = (await listBranches(repository)).find((one) => one.timeline === found.timeline.id)?.name;
  const where = found.timeline.id === timeline.id ? '' : ` of '${owner ?? found.timeline.id}'`;
  context.output.line(
    `${formatLsn(found.lsn)}${where}, last commit ${formatPointInTime(found.commitTime)}, asked for ${formatPointInTime(time)}`,
  );
  return {
    branch: owner ?? null,
    timeline: found.timeline.id,
    lsn: formatLsn(found.lsn),
    commitTime: isoPointInTime(found.commitTime),
    askedTime: isoPointInTime(time),
  };
}
