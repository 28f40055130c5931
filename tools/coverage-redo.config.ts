import { defineConfig } from 'vitest/config';

// npm run coverage:redo: what the unit tests of redo run of it, by lines. What servers write runs more of it (x.pg.test.ts, npm run conformance), but a branch that refuses damaged input is run by a test made for it or by none.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['packages/redo/src/**/*.test.ts'],
    exclude: ['**/*.pg.test.ts'],
    testTimeout: 60_000,
    coverage: {
      enabled: true,
      provider: 'v8',
      include: ['packages/redo/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/*.test-support.ts'],
      reporter: ['text'],
      thresholds: { lines: 95 },
    },
  },
});
