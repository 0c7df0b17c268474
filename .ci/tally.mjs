// Adds up what vitest's JSON reports in a folder say, one for each run: names what failed, and ends with
// `N passed, N failed`. The end of the output is often all that is kept of it.
// Usage: node .ci/tally.mjs FOLDER FAILED_STEPS
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';

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
  for (const file of report.testResults) {
    const failedTests = file.assertionResults.filter((one) => one.status === 'failed');
    if (file.status === 'failed' && failedTests.length === 0) tellFailure(file.name, '', file.message);
    for (const one of failedTests) tellFailure(file.name, one.fullName, one.failureMessages.join('\n'));
  }
  process.stdout.write(
    `${path.basename(name, '.json').padEnd(10)} ${report.numPassedTests} passed, ${failures} failed, ${skipped} skipped\n`,
  );
}

/** The first lines of a failure, without the colours. */
function tellFailure(file, test, message = '') {
  const plain = stripVTControlCharacters(message).split('\n').slice(0, 12).join('\n    ');
  process.stdout.write(`FAILED ${path.relative('test', file)}: ${test}\n    ${plain}\n`);
}

process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
