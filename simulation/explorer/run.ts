import { parseArgs } from 'node:util';
import { explore } from './explore.ts';

// npm run explore -- --terms 3 --log 2 --acceptors 3 --proposers 2 [--cuts 1] [--writes-early] [--retries] [--copies] [--json]
const { values } = parseArgs({
  options: {
    terms: { type: 'string', default: '2' },
    log: { type: 'string', default: '2' },
    acceptors: { type: 'string', default: '3' },
    proposers: { type: 'string', default: '2' },
    cuts: { type: 'string', default: '0' },
    'writes-early': { type: 'boolean', default: false },
    retries: { type: 'boolean', default: false },
    copies: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const numbers = {
  terms: Number(values.terms),
  log: Number(values.log),
  acceptors: Number(values.acceptors),
  proposers: Number(values.proposers),
  cuts: Number(values.cuts),
};
for (const [name, value] of Object.entries(numbers)) {
  if (!Number.isSafeInteger(value) || value < (name === 'cuts' ? 0 : 1) || value > 9) {
    console.error(`--${name} must be a whole number from 1 to 9`);
    process.exit(2);
  }
}
const bounds = { ...numbers, writesEarly: values['writes-early'], retries: values.retries, copies: values.copies };
const began = performance.now();
const result = explore(bounds, {
  onLevel: (depth, states, frontier) => {
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    if (!values.json) console.error(`depth ${depth}: ${states} states, ${frontier} to go on from, ${seconds} s`);
  },
});
const seconds = (performance.now() - began) / 1000;
if (values.json) console.log(JSON.stringify({ ...result, seconds }));
else {
  console.log(
    `${result.states} states, ${result.transitions} steps, depth ${result.depth}, ${seconds.toFixed(1)} s, ${result.complete ? 'complete' : 'not complete'}`,
  );
  if (result.violation !== null) console.log([result.violation.message, ...result.violation.path].join('\n  '));
}
process.exitCode = result.violation === null ? 0 : 1;
