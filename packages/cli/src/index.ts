export { runCommandLine } from './command-line/run.ts';
export type { Surroundings } from './command-line/runner.ts';
export { ExitCode } from './output/exit-code.ts';
