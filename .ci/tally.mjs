// Adds up what vitest's JSON reports in a folder say, one for each run, and prints `N passed, N failed`.
// Usage: node .ci/tally.mjs FOLDER FAILED_STEPS
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const [folder, failedSteps = '0'] = process.argv.slice(2);
let passed = 0;
// A step that is no test run, or left no report, counts as one failure: `0 failed` must mean what it says.
let failed = Number(failedSteps);

for (const name of readdirSync(folder).sort()) {
  const report = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
  // A file that cannot be loaded has no tests that could fail; an error outside of tests fails the run alone.
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((one) => one.status === 'failed'),
  ).length;
  const failures = report.numFailedTests + unloaded;
  passed += report.numPassedTests;
  failed += failures === 0 && !report.success ? 1 : failures;
  const skipped = report.numPendingTests + report.numTodoTests;
  process.stdout.write(
    `${path.basename(name, '.json').padEnd(10)} ${report.numPassedTests} passed, ${failures} failed, ${skipped} skipped\n`,
  );
}

process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
