import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterScores, perplexity, quantile, tukeyFences } from './filter.ts';
import type { ScoredRow } from './filter.ts';

const options = { factor: 1.5, minTokens: 2, includeEndToken: false };
/** A row of 10 tokens with this perplexity. */
const row = (value: number, pos = 0, rest: Partial<ScoredRow> = {}): ScoredRow => ({ id: String(pos), pos, sumLogprob: -10 * Math.log(value), tokens: 10, endLogprob: -1, dropReason: null, ...rest });

describe('quantile', () => {
  it('interpolates as type 7 does', () => {
    // R: quantile(c(1, 3, 4, 8, 9, 20), c(.1, .25, .5, .75, .9), type = 7)
    const sorted = [1, 3, 4, 8, 9, 20];
    expect([0.1, 0.25, 0.5, 0.75, 0.9].map((q) => quantile(sorted, q))).toEqual([2, 3.25, 6, 8.75, 14.5]);
    expect([quantile(sorted, 0), quantile(sorted, 1), quantile([5], 0.3)]).toEqual([1, 20, 5]);
  });
  it('refuses no values and senseless shares', () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError);
    expect(() => quantile([1], 1.1)).toThrow(/q is 1.1/);
    expect(() => quantile([1], Number.NaN)).toThrow(RangeError);
  });
  it('grows with q and stays among the values', () => {
    fc.assert(fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (values, p, q) => {
      const sorted = values.toSorted((x, y) => x - y);
      const [low, high] = [quantile(sorted, Math.min(p, q)), quantile(sorted, Math.max(p, q))];
      expect(low).toBeLessThanOrEqual(high * (1 + 1e-12));
      expect(low).toBeGreaterThanOrEqual(sorted[0]!);
      expect(high).toBeLessThanOrEqual(sorted.at(-1)! * (1 + 1e-12));
    }));
  });
});

describe('tukeyFences', () => {
  it('are not there without a factor', () => { expect(tukeyFences([20, 1, 9, 3, 8, 4], null)).toEqual({ q1: 3.25, q3: 8.75, low: null, high: null }); });
  it('stand factor interquartile ranges outside the quartiles, whatever the order', () => {
    expect(tukeyFences([20, 1, 9, 3, 8, 4], 1.5)).toEqual({ q1: 3.25, q3: 8.75, low: -5, high: 17 });
    expect(tukeyFences([10, 9, 2], 0)).toEqual({ q1: 5.5, q3: 9.5, low: 5.5, high: 9.5 });
  });
});

describe('perplexity', () => {
  it('is of the answer alone, or with its end token', () => {
    expect(perplexity({ sumLogprob: -4 * Math.log(3), tokens: 4, endLogprob: -100 }, false)).toBeCloseTo(3, 12);
    expect(perplexity({ sumLogprob: -3, tokens: 3, endLogprob: -1 }, true)).toBeCloseTo(Math.E, 12);
  });
  it('is NaN where there is nothing to measure', () => {
    expect(perplexity({ sumLogprob: 0, tokens: 0, endLogprob: null }, false)).toBeNaN();
    expect(perplexity({ sumLogprob: -3, tokens: 3, endLogprob: null }, true)).toBeNaN();
  });
});

describe('filterScores', () => {
  it('gives each row one verdict', () => {
    const rows = [
      ...[10, 11, 12, 13, 14, 10, 11, 12].map((value, pos) => row(value, pos)), row(200, 8), row(1.1, 9),
      row(12, 10, { tokens: 1 }), row(12, 11, { dropReason: 'too_long', sumLogprob: null, tokens: null }), row(12, 12, { sumLogprob: null }), row(12, 13, { sumLogprob: -1e9 }), row(12, 14, { sumLogprob: Number.NaN }),
    ];
    const { verdicts, stats } = filterScores(rows, options);
    expect(verdicts.map(({ dropReason }) => dropReason)).toEqual([...Array<null>(8).fill(null), 'perplexity_high', 'perplexity_low', 'too_short', 'too_long', 'not_finite', 'not_finite', 'not_finite']);
    expect(verdicts.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
    expect(stats).toMatchObject({ total: 15, kept: 8, tooShort: 1 });
    expect(stats.before?.max).toBeCloseTo(200, 9);
    expect(stats.after?.max).toBeCloseTo(14, 9);
    expect(stats.after?.median).toBeCloseTo(11.5, 9);
    expect(stats.after?.mean).toBeCloseTo(11.625, 9);
    expect(verdicts[11]).toMatchObject({ perplexity: null });
  });
  it('keeps exactly what lies within fences that can be told by hand', () => {
    // Of 13 values the quartiles are the fourth and the tenth: 4 and 8, so the fences are −2 and 14.
    const values = [2, 4, 4, 4, 4, 6, 8, 8, 8, 8, 13.9, 14.1, 64];
    const rows = values.map((value, pos) => row(value, pos, { sumLogprob: -2 * Math.log(value), tokens: 2 }));
    const { verdicts, stats } = filterScores(rows, options);
    expect([stats.q1, stats.q3, stats.low, stats.high].map((value) => Number(value?.toFixed(9)))).toEqual([4, 8, -2, 14]);
    expect(verdicts.map(({ dropReason }) => dropReason)).toEqual([...Array<null>(11).fill(null), 'perplexity_high', 'perplexity_high']);
    expect(stats).toMatchObject({ total: 13, kept: 11 });
    const narrow = filterScores(rows, { ...options, factor: 0.25 });
    expect([narrow.stats.low, narrow.stats.high].map((value) => Number(value?.toFixed(9)))).toEqual([3, 9]);
    expect(narrow.verdicts.map(({ dropReason }) => dropReason)).toEqual(['perplexity_low', ...Array<null>(9).fill(null), 'perplexity_high', 'perplexity_high', 'perplexity_high']);
  });
  it('without a factor keeps all that has a perplexity and enough tokens, and tells the quartiles all the same', () => {
    const rows = [1, 3, 4, 8, 9, 20_000].map((value, pos) => row(value, pos)).concat(row(5, 6, { tokens: 1 }), row(5, 7, { sumLogprob: null }), row(5, 8, { dropReason: 'too_long' }));
    const { verdicts, stats } = filterScores(rows, { ...options, factor: null });
    expect(verdicts.map(({ dropReason }) => dropReason)).toEqual([...Array<null>(6).fill(null), 'too_short', 'not_finite', 'too_long']);
    expect(stats).toMatchObject({ low: null, high: null, total: 9, kept: 6, tooShort: 1 });
    expect([stats.q1, stats.q3].map((value) => Number(value?.toFixed(9)))).toEqual([3.25, 8.75]);
    expect(stats.after).toEqual(stats.before);
  });
  it('has no quartiles without rows', () => {
    expect(filterScores([], options)).toEqual({ verdicts: [], stats: { q1: null, q3: null, low: null, high: null, total: 0, kept: 0, tooShort: 0, before: null, after: null } });
    expect(filterScores([row(3, 0, { tokens: 1 })], options).stats).toMatchObject({ q1: null, total: 1, kept: 0, tooShort: 1 });
  });
  it('keeps what stands on a fence', () => {
    expect(filterScores([row(4), row(4, 1), row(4, 2)], options).stats.kept).toBe(3);
  });
  it('counts every row, keeps only what lies within the fences, and survives JSON', () => {
    const scored = fc.record({
      id: fc.string(), pos: fc.nat(), sumLogprob: fc.option(fc.double({ max: 0 })), tokens: fc.option(fc.nat(50)), endLogprob: fc.option(fc.double({ max: 0 })), dropReason: fc.option(fc.constant('gone')),
    });
    fc.assert(fc.property(fc.array(scored), fc.boolean(), (rows, includeEndToken) => {
      const { verdicts, stats } = filterScores(rows, { ...options, includeEndToken });
      expect(verdicts).toHaveLength(rows.length);
      const kept = verdicts.filter(({ dropReason }) => dropReason === null);
      expect(stats.kept).toBe(kept.length);
      for (const { perplexity: value } of kept) {
        expect(value).toBeGreaterThanOrEqual(stats.low!);
        expect(value).toBeLessThanOrEqual(stats.high!);
      }
      expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
    }));
  });
});
