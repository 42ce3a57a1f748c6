import { expect, test } from 'vitest';
import { addCounts, countJunit, countVitest, formatCounts } from './counts.ts';

test('vitest: tests are counted, and a file that failed as a whole counts once', () => {
  const report = (files: readonly { status: string; assertionResults: readonly { status: string }[] }[]): string => JSON.stringify({
    numPassedTests: 3, numFailedTests: 1, numPendingTests: 1, numTodoTests: 1, testResults: files,
  });
  expect(countVitest(report([{ status: 'failed', assertionResults: [{ status: 'failed' }] }]))).toEqual({ passed: 3, failed: 1, skipped: 2 });
  expect(countVitest(report([{ status: 'failed', assertionResults: [] }, { status: 'failed', assertionResults: [{ status: 'passed' }] }]))).toEqual({ passed: 3, failed: 3, skipped: 2 });
});

test('pytest: failures and errors both failed', () => {
  const xml = '<?xml version="1.0"?><testsuites name="all tests"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1.0"><testcase name="x" tests="99"/></testsuite></testsuites>';
  expect(countJunit(xml)).toEqual({ passed: 4, failed: 3, skipped: 3 });
});

test('the sum is one line', () => {
  expect(formatCounts(addCounts([{ passed: 1, failed: 0, skipped: 2 }, { passed: 3, failed: 4, skipped: 0 }]))).toBe('4 passed, 4 failed, 2 skipped');
});
