// Usage: node tools/summary.mjs REPORTS_FOLDER FAILED_STEPS. Sums the JSON reports of the test runs, repeats what failed and why, and prints the closing line.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

const [folder, failedSteps] = process.argv.slice(2);
let passed = 0;
let failed = Number(failedSteps);
let skipped = 0;
for (const name of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, name), 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests;
  for (const file of report.testResults) {
    const path = relative(process.cwd(), file.name);
    const failures = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of failures) console.log(`FAILED ${path} > ${test.fullName}\n${test.failureMessages.join('\n')}`);
    if (file.status === 'failed' && failures.length === 0) console.log(`FAILED ${path}\n${file.message}`);
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
