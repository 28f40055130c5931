import { resolve } from 'node:path';
import { formatLsn } from '@zenith/base';
import { exportBranch } from '@zenith/control-plane';
import { repositoryOf, shownPath, type CommandContext, type CommandResult } from '../command-context.ts';
import { formatBytes } from '../output/table.ts';

/** Unit: bytes. */
const BLOCK_BYTES = 8192;

/** A step is told each time so many hundredths more are copied. */
const STEP_PERCENT = 10;

/** `zenith export BRANCH DIRECTORY [--standby]` */
export async function exportData(
  context: CommandContext,
  from: string,
  folder: string,
  { standby = false }: { readonly standby?: boolean },
): CommandResult {
  const repository = repositoryOf(context);
  const directory = resolve(context.currentFolder, folder);
  let told = 0;
  const exported = await context.output.progress(`Copying ${from} to ${shownPath(context, directory)}`, (step) =>
    exportBranch(repository, {
      from,
      directory,
      standby,
      signal: context.signal,
      onProgress: (copied, blocks) => {
        const percent = blocks === 0 ? 100 : Math.floor((copied / blocks) * 100);
        if (percent < told + STEP_PERCENT) return;
        told = percent - (percent % STEP_PERCENT);
        step(`Copied ${told} % of ${formatBytes(blocks * BLOCK_BYTES)}`);
      },
    }),
  );
  const { origin, blocks, files } = exported;
  const lsn = formatLsn(origin.lsn);
  const bytes = blocks * BLOCK_BYTES;
  context.output.line(
    `Copied ${from} at ${lsn} to ${shownPath(context, directory)}: ${formatBytes(bytes)} in ${files} files`,
  );
  context.output.line(
    standby
      ? `Start it with PostgreSQL ${origin.timeline.pgMajor} on a port of its own: it follows the branch as a standby`
      : `Start it with PostgreSQL ${origin.timeline.pgMajor} (pg_ctl -D ${shownPath(context, directory)} start): it needs Zenith no more`,
  );
  return {
    from,
    timeline: origin.timeline.id,
    lsn,
    directory,
    pgMajor: origin.timeline.pgMajor,
    standby,
    bytes,
    files,
  };
}
