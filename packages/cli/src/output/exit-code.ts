/** What `zenith` exits with. Documented in README.md; stable. */
export const ExitCode = {
  /** It did its job. */
  ok: 0,
  /** It could not; one line on standard error says why, and nothing is left half done. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** A defect in Zenith itself. */
  internal: 3,
  /** Ended by Ctrl-C or SIGTERM (128 + SIGINT, as shells count). */
  interrupted: 130,
} as const;

/** One of {@link ExitCode}. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
