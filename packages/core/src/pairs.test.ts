import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer, DataRow } from './answers.ts';
import { buildPair, createPairStats } from './pairs.ts';

const row: DataRow = { id: 'id1', prompt: [{ role: 'user', content: 'Capital of France?' }], response: 'The capital is Paris.' };
const answer = (text: string | null, rest: Partial<Answer> = {}): Answer => ({ text, finishReason: 'stop', dropReason: null, ...rest });
const reason = (rejected: Answer, chosen: Answer) => { const built = buildPair({ row, rejected, chosen }); return 'dropReason' in built ? built.dropReason : null; };

describe('buildPair', () => {
  it('is a conversational preference row', () => {
    expect(buildPair({ row, rejected: answer('paris?'), chosen: answer('Paris.') })).toEqual({
      id: 'id1', prompt: row.prompt, chosen: [{ role: 'assistant', content: 'Paris.' }], rejected: [{ role: 'assistant', content: 'paris?' }],
    });
  });
  const dropped = answer(null, { dropReason: 'missing' });
  const cut = answer('cut', { finishReason: 'length' });
  it.each([
    ['rejected_missing', dropped, dropped], ['chosen_missing', cut, dropped], ['rejected_unfinished', cut, cut], ['chosen_unfinished', answer(''), cut],
    ['chosen_empty', answer(''), answer(' ')], ['rejected_empty', answer(' '), answer('x')], ['rejected_empty', answer(null), answer('x')], ['identical', answer('Paris'), answer('Paris\n')],
    ['chosen_copy_of_reference', answer('paris'), answer(' The capital is Paris.')], ['chosen_meta_talk', answer('paris'), answer('Improved answer: Paris.')],
    [null, answer('I cannot help with that.'), answer('Paris.')], [null, answer('The capital is Paris.'), answer('It is Paris.')],
  ] as const)('%s', (expected, rejected, chosen) => { expect(reason(rejected, chosen)).toBe(expected); });
  it('takes the reference as the chosen side when that is the recipe', () => {
    expect(buildPair({ row, rejected: answer('paris'), chosen: answer(row.response), chosenIsReference: true })).toMatchObject({ chosen: [{ content: 'The capital is Paris.' }] });
    expect(buildPair({ row, rejected: answer(row.response), chosen: answer(row.response), chosenIsReference: true })).toEqual({ dropReason: 'identical' });
  });
  it('gives every row a pair of two different texts, or a reason', () => {
    const any = fc.record({ text: fc.option(fc.constantFrom('', 'a', 'b', 'The capital is Paris.')), finishReason: fc.constantFrom('stop', 'length', null), dropReason: fc.option(fc.constant('gone')) });
    fc.assert(fc.property(any, any, (rejected, chosen) => {
      const built = buildPair({ row, rejected, chosen });
      if ('dropReason' in built) return;
      expect(built.chosen).not.toEqual(built.rejected);
      expect([rejected.dropReason, chosen.dropReason]).toEqual([null, null]);
    }));
  });
});

describe('createPairStats', () => {
  it('measures kept pairs only', () => {
    const stats = createPairStats();
    stats.add({ row: { ...row, response: 'abcdef' }, rejected: answer('ab'), chosen: answer('abcd') });
    stats.add({ row, rejected: answer('cut off', { finishReason: 'length' }), chosen: answer('a long answer that would count') });
    expect(stats.result()).toEqual({
      editDistance: { chosenToRejected: { meanCharacters: 2, meanNormalised: 0.5, n: 1 }, chosenToReference: { meanCharacters: 2, meanNormalised: 1 / 3, n: 1 } },
      lengths: { chosen: 4, rejected: 2, ratio: 2 },
    });
  });
  it('says nothing of nothing', () => {
    expect(createPairStats().result()).toEqual({ editDistance: { chosenToRejected: null, chosenToReference: null }, lengths: { chosen: null, rejected: null, ratio: null } });
  });
});
