import { parseArgs } from 'node:util';
import { Counters } from './counters.ts';
import { simulate } from './simulation.ts';

// npm run simulate -- --seed 1 --seeds 1000 [--trace] [--json]
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '100' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const seeds = Number(values.seeds);
if (!Number.isSafeInteger(first) || first < 0 || !Number.isSafeInteger(seeds) || seeds < 1) {
  console.error('--seed and --seeds are whole numbers');
  process.exit(2);
}
const began = performance.now();
const counters = new Counters();
const failures: { readonly seed: number; readonly kind: string; readonly message: string }[] = [];
let committedBytes = 0;
let hash = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const report = await simulate(
    seed,
    values.trace ? (nowMs, text) => console.log(`${nowMs.toFixed(3)} ${text}`) : undefined,
  );
  counters.add(report.counts);
  committedBytes += report.committedBytes;
  hash = (Math.imul(hash, 31) + report.hash) | 0;
  if (report.failure === null) continue;
  failures.push({ seed, ...report.failure });
  console.error(`seed ${seed}: ${report.failure.kind}: ${report.failure.message}`);
}
const seconds = (performance.now() - began) / 1000;
const result = { first, seeds, failures, seconds, committedBytes, hash: hash >>> 0, counts: counters.all };
if (values.json) console.log(JSON.stringify(result));
else {
  for (const [what, count] of Object.entries(counters.all)) console.log(`${String(count).padStart(9)} ${what}`);
  console.log(
    `${seeds} seeds from ${first}, ${failures.length} failures, ${committedBytes} bytes acknowledged, ${seconds.toFixed(1)} s, fingerprint ${result.hash.toString(16)}`,
  );
}
process.exitCode = failures.length === 0 ? 0 : 1;
