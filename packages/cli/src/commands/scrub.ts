import { scrubRemoteStorage, type ScrubReport } from '@zenith/control-plane';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { ExitCode } from '../output/exit-code.ts';
import { formatBytes } from '../output/table.ts';

/** How `zenith scrub` is to look. */
export interface ScrubCommandOptions {
  readonly quick?: boolean;
  readonly deleteOrphans?: boolean;
}

/** Most lines of one kind that are shown to a person; `--json` has all. */
const LINES_MAX = 100;

function some(lines: readonly string[]): string[] {
  const more = lines.length - LINES_MAX;
  return more <= 0 ? [...lines] : [...lines.slice(0, LINES_MAX), `… and ${more} more`];
}

function reportLines({
  timelines,
  objects,
  bytes,
  missing,
  corrupt,
  orphans,
  foreign,
  deleted,
}: ScrubReport): string[] {
  const removed = new Set(deleted);
  const left = orphans.filter(({ key }) => !removed.has(key));
  const removable = left.filter((orphan) => orphan.removable);
  const size = (list: readonly { readonly bytes: number }[]): string =>
    formatBytes(list.reduce((sum, one) => sum + one.bytes, 0));
  return [
    ...some(missing.map(({ key }) => `missing: ${key}`)),
    ...some(corrupt.map(({ key, message }) => `corrupt: ${key}: ${message}`)),
    ...some(foreign.map((key) => `not Zenith's: ${key}`)),
    ...some(deleted.map((key) => `removed: ${key}`)),
    `${timelines} timelines, ${objects} objects, ${formatBytes(bytes)}: ${missing.length} missing, ${corrupt.length} corrupt`,
    ...(left.length === 0
      ? []
      : [
          `${left.length} orphans (${size(left)}), ${removable.length} of them (${size(removable)}) may be removed${removable.length === 0 ? '' : ": 'zenith scrub --delete-orphans'"}`,
        ]),
  ];
}

/** `zenith scrub`: is in remote storage what its indexes say? Ends with {@link ExitCode.failed} when something is missing or corrupt. */
export async function scrub(context: CommandContext, options: ScrubCommandOptions): CommandResult {
  const report = await context.output.progress('Looking at remote storage', () =>
    scrubRemoteStorage(repositoryOf(context), {
      quick: options.quick === true,
      deleteOrphans: options.deleteOrphans === true,
      signal: context.signal,
    }),
  );
  for (const line of reportLines(report)) context.output.line(line);
  if (report.missing.length > 0 || report.corrupt.length > 0) process.exitCode = ExitCode.failed;
  return { ...report };
}
