import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Four kinds of tests, told apart by their file names (CONTRIBUTING.md):
//   unit         x.test.ts, x.prop.test.ts   beside the source
//   pg           x.pg.test.ts                with a real PostgreSQL from npm
//   integration  integration_tests/*.test.ts real processes, one file at a time
//   long         integration_tests/long/   the same, what takes minutes more
//   debian       integration_tests/debian/   the same, with pgbench, pg_waldump … of a distribution
const shared = {
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
};

// .ci/run sums up the runs: it names a folder, and each run leaves its counts there.
const reports = process.env['ZENITH_TEST_REPORTS'];

export default defineConfig({
  ...shared,
  test: {
    // Two files at a time also on two cores (by default it would be one): tests with a PostgreSQL mostly wait for processes.
    maxWorkers: 2,
    reporters:
      reports === undefined ? ['default'] : ['default', ['json', { outputFile: join(reports, `${process.pid}.json`) }]],
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'simulation/**/*.test.ts', 'conformance/**/*.test.ts'],
          exclude: ['**/*.pg.test.ts', 'simulation/long/**'],
          testTimeout: 180_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'pg',
          include: ['packages/*/src/**/*.pg.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'integration',
          include: ['integration_tests/*.test.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 180_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'long',
          include: ['integration_tests/long/*.test.ts', 'simulation/long/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 180_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'debian',
          include: ['integration_tests/debian/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
