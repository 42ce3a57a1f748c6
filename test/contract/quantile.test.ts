/** The quartiles of the perplexity filter are those that anybody's numpy tells. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { quantile } from '@sgpo/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** The environment that set-up makes, which has numpy. */
const python = join(process.env['SGPO_HOME'] ?? join(import.meta.dirname, '../../.sgpo'), 'venv/bin/python');
const numpyPercentiles = `
import json, sys, numpy
for values in json.load(sys.stdin): print(json.dumps([float(value) for value in numpy.percentile(numpy.array(values, dtype=numpy.float64), [0, 5, 25, 33.5, 50, 75, 90, 100])]))
`;

describe('quantile against numpy.percentile', () => {
  it('is equal to the last bit', () => {
    const perplexity = fc.double({ min: 1, max: 1e5, noNaN: true });
    const anything = fc.double({ min: -1e300, max: 1e300, noNaN: true });
    const ties = fc.constantFrom(1, 1.1, 2.5, 3);
    const samples = fc.sample(fc.oneof(...[perplexity, anything, ties].map((value) => fc.array(value, { minLength: 1, maxLength: 60 }))), { numRuns: 400, seed: 20_261_124 })
      // -0 and 0 are equal and sort either way.
      .map((values) => values.map((value) => value + 0));
    const { stdout, stderr, status } = spawnSync(python, ['-c', numpyPercentiles], { input: JSON.stringify(samples), encoding: 'utf8', env: { ...process.env, OMP_NUM_THREADS: '1' } });
    expect(status, stderr).toBe(0);
    const expected = stdout.trim().split('\n').map((line) => JSON.parse(line) as number[]);
    expect(expected).toHaveLength(samples.length);
    for (const [index, values] of samples.entries()) {
      const sorted = values.toSorted((a, b) => a - b);
      expect([0, 0.05, 0.25, 0.335, 0.5, 0.75, 0.9, 1].map((q) => quantile(sorted, q) + 0), JSON.stringify(values)).toEqual(expected[index]?.map((value) => value + 0));
    }
  });
});
