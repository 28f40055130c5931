import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runCommandLine } from './command-line/run.ts';
import { ExitCode } from './output/exit-code.ts';

// The first signal interrupts the work, which then cleans up behind itself; the second ends the process.
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(ExitCode.interrupted);
    interrupt.abort();
  });
}

// `zenith status | head -1`: whoever read is gone, and nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? ExitCode.ok);
  throw error;
});

// This module's own place says nothing once it is part of a bundle.
const packageFile = createRequire(import.meta.url).resolve('@zenith/cli/package.json');
const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as {
  version: string;
};
const around = { stdout: process.stdout, stderr: process.stderr, folder: process.cwd(), signal: interrupt.signal };
const exitCode = await runCommandLine(process.argv.slice(2), around, version);
if (exitCode !== ExitCode.ok) process.exitCode = exitCode;
