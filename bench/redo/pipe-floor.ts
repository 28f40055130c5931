import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '@zenith/testing';

/** Builds `pipe-floor.c` with the machine's C compiler and runs it. Gives the round trip of 8 KiB between two C processes. Unit: ns. */
export function pipeRoundTrip(): number {
  const directory = temporaryDirectory('zenith-bench-');
  try {
    const program = join(directory.path, 'pipe-floor');
    const source = fileURLToPath(new URL('pipe-floor.c', import.meta.url));
    execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source]);
    return Number(execFileSync(program, { encoding: 'utf8' }));
  } finally {
    directory.remove();
  }
}
