import { describe, expect, it } from 'vitest';
import { createHeldOutMeasure } from './measure.ts';

const answer = { text: 'a', finishReason: 'stop', completionTokens: 4, dropReason: null };
const score = { sumLogprob: -2 * Math.log(3), tokens: 2, chrf: 30, dropReason: null };

describe('createHeldOutMeasure', () => {
  it('weighs perplexity by tokens, and the rest by rows', () => {
    const measure = createHeldOutMeasure();
    measure.add({ answer, score });
    measure.add({ answer: { ...answer, finishReason: 'length', completionTokens: 8 }, score: { ...score, sumLogprob: -6 * Math.log(9), tokens: 6, chrf: 50 } });
    const result = measure.result();
    expect(result.referencePerplexity).toBeCloseTo(Math.exp((2 * Math.log(3) + 6 * Math.log(9)) / 8), 10);
    expect(result).toMatchObject({ chrf: 40, length: 6, unfinished: 0.5, rows: 2, dropped: {} });
  });
  it('counts what it leaves out, with one reason', () => {
    const measure = createHeldOutMeasure();
    measure.add({ answer: { ...answer, dropReason: 'prompt_too_long' }, score: { ...score, dropReason: 'too_long' } });
    measure.add({ answer, score: { ...score, dropReason: 'too_long' } });
    measure.add({ answer, score: { ...score, chrf: null } });
    measure.add({ answer, score: { ...score, sumLogprob: Number.NaN } });
    measure.add({ answer: { ...answer, completionTokens: null }, score });
    expect(measure.result()).toEqual({
      referencePerplexity: null, chrf: null, length: null, unfinished: null, rows: 0,
      dropped: { answer_prompt_too_long: 1, score_too_long: 1, score_missing_value: 2, answer_missing_value: 1 },
    });
  });
});
