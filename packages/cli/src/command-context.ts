import { relative, resolve } from 'node:path';
import { openRepository, type JsonValue, type Repository } from '@zenith/control-plane';
import type { Output } from './output/output.ts';

/** What a command runs with. */
export interface CommandContext {
  /** Words for a person; silent with `--json`. */
  readonly output: Output;
  /** The folder the command works from: `--dir`, or the current one. */
  readonly folder: string;
  /** The folder the command was given in. */
  readonly currentFolder: string;
  /** Given by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** A command's work: talks through the context's output, and returns what `--json` prints. */
export type CommandResult = Promise<JsonValue>;

/** The repository the command works in. @throws ControlPlaneError `no-repository`, … */
export function repositoryOf(context: CommandContext): Repository {
  return openRepository(context.folder);
}

/** A path as a person who gave the command would write it. */
export function shownPath({ currentFolder }: Pick<CommandContext, 'currentFolder'>, path: string): string {
  const short = relative(currentFolder, resolve(path));
  return short === '' ? '.' : short.length < path.length ? short : path;
}
