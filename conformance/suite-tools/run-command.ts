import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** How a program is to run. */
export interface CommandOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The OS user, the caller's own when left out. */
  readonly user?: { readonly uid?: number; readonly gid?: number };
  /** After this its whole process group is killed. Unit: milliseconds. */
  readonly timeoutMs: number;
  /** Called with each line of either output. */
  readonly onLine?: (line: string) => void;
}

/** How much of a program's output is kept for a message. Unit: lines. */
const LINES_KEPT_MAX = 40;

/** The process groups that run now: an interrupted run must not leave them. */
const running = new Set<number>();

/** Kills every program that {@link runCommand} has started and that still runs. */
export function killRunningCommands(): void {
  for (const group of running) killGroup(group);
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended in between
  }
}

/** What a program left. */
export interface CommandResult {
  readonly code: number | null;
  /** The last lines of its output. */
  readonly tail: string;
}

/** Runs a program in a process group of its own to its end, whatever its exit status. @throws Error when it cannot be started, or did not end in time */
export function runCommand(program: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      ...options.user,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (lines.length > LINES_KEPT_MAX) lines.shift();
        options.onLine?.(line);
      });
    const { pid } = child;
    if (pid !== undefined) running.add(pid);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      if (pid !== undefined) killGroup(pid);
    }, options.timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      if (pid !== undefined) running.delete(pid);
    };
    child.once('error', (error) => {
      end();
      reject(new Error(`cannot run '${program}': ${error.message}`, { cause: error }));
    });
    child.once('close', (code) => {
      end();
      if (isLate)
        reject(new Error(`'${program}' did not end within ${options.timeoutMs / 1000} s: ${lines.join('\n')}`));
      else resolve({ code, tail: lines.join('\n') });
    });
  });
}
