import { parseArgs } from 'node:util';
import { runChaos } from './run-chaos.ts';

// npm run chaos [-- --minutes 10 --seed 1]: the schedule goes to standard error as it is carried out, one JSON document to standard output.
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(
    'npm run chaos [-- --minutes 10 --seed N]: faults on real processes, see integration_tests/chaos/README.md. What is done goes to standard error, what was seen, as JSON, to standard output.',
  );
  process.exit(0);
}
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed) || seed < 0) {
  console.error('--minutes is a positive number, --seed a whole one');
  process.exit(2);
}
console.error(`seed ${seed}, ${minutes} minutes`);
const endMs = performance.now() + minutes * 60_000;
const result = await runChaos({
  seed,
  isOver: () => performance.now() >= endMs,
  tell: (line) => console.error(line),
});
console.log(JSON.stringify(result, undefined, 2));
process.exitCode = result.problems.length === 0 ? 0 : 1;
