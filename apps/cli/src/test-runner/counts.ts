import { z } from 'zod';

export interface Counts { readonly passed: number; readonly failed: number; readonly skipped: number }

const vitestSchema = z.object({
  numPassedTests: z.number(), numFailedTests: z.number(), numPendingTests: z.number(), numTodoTests: z.number(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

/** Counts of vitest's JSON report. A file that failed as a whole, before or after its tests, counts as one failure. */
export function countVitest(json: string): Counts {
  const report = vitestSchema.parse(JSON.parse(json));
  const brokenFiles = report.testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.every((test) => test.status !== 'failed')).length;
  return { passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles, skipped: report.numPendingTests + report.numTodoTests };
}

/** Counts of pytest's JUnit report. */
export function countJunit(xml: string): Counts {
  const sum = (name: string): number => [...xml.matchAll(/<testsuite\b[^>]*>/g)]
    .reduce((total, [tag]) => total + Number(new RegExp(`\\s${name}="(\\d+)"`).exec(tag)?.[1] ?? 0), 0);
  const failed = sum('failures') + sum('errors');
  const skipped = sum('skipped');
  return { passed: sum('tests') - failed - skipped, failed, skipped };
}

export const addCounts = (all: readonly Counts[]): Counts => all.reduce(
  (sum, counts) => ({ passed: sum.passed + counts.passed, failed: sum.failed + counts.failed, skipped: sum.skipped + counts.skipped }), { passed: 0, failed: 0, skipped: 0 },
);

export const formatCounts = ({ passed, failed, skipped }: Counts): string => `${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`;
