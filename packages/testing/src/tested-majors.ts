import { PG_MAJORS, type PgMajor } from '@zenith/pg-format';

/** Every major version, the newest first: for suites that take no more than a few seconds each. */
export const EVERY_MAJOR: readonly PgMajor[] = PG_MAJORS.toReversed();

/**
 * The major versions that slower suites run with: the newest, or those that the variable ZENITH_TEST_MAJORS names (`ZENITH_TEST_MAJORS=16,17`). `npm run test:versions` runs what the default leaves out,
 * `npm run test:long` runs with the newest and the oldest, which differ most.
 * @throws Error when the variable names something else
 */
export const SAMPLED_MAJORS: readonly PgMajor[] = sampledMajors(process.env['ZENITH_TEST_MAJORS']);

function sampledMajors(wanted: string | undefined): readonly PgMajor[] {
  if (wanted === undefined) return [18];
  return wanted.split(',').map((text) => {
    const major = PG_MAJORS.find((known) => text.trim() === String(known));
    if (major === undefined)
      throw new Error(`ZENITH_TEST_MAJORS is '${wanted}': a list of ${PG_MAJORS.join(', ')} was expected`);
    return major;
  });
}
