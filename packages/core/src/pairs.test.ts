import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer, DataRow } from './answers.ts';
import { flaws } from './detect.ts';
import { buildGivenPair, buildPair, createPairStats } from './pairs.ts';
import type { PairSides } from './pairs.ts';

const row: DataRow = { id: 'id1', prompt: [{ role: 'user', content: 'Capital of France?' }], response: 'The capital is Paris.' };
const answer = (text: string | null, rest: Partial<Answer> = {}): Answer => ({ text, finishReason: 'stop', dropReason: null, ...rest });
const rules = { unfinished: 'drop', chosenFlaws: flaws } as const satisfies PairSides['rules'];
const reason = (rejected: Answer, chosen: Answer, rest: Partial<PairSides> = {}) => { const built = buildPair({ row, rejected, chosen, rules, ...rest }); return 'dropReason' in built ? built.dropReason : null; };

describe('buildPair', () => {
  it('is a conversational preference row', () => {
    expect(buildPair({ row, rejected: answer('paris?'), chosen: answer('Paris.'), rules })).toEqual({
      id: 'id1', prompt: row.prompt, chosen: [{ role: 'assistant', content: 'Paris.' }], rejected: [{ role: 'assistant', content: 'paris?' }], chosen_unfinished: false, rejected_unfinished: false,
    });
  });
  const dropped = answer(null, { dropReason: 'missing' });
  const cut = answer('cut', { finishReason: 'length' });
  it.each([
    ['rejected_missing', dropped, dropped], ['chosen_missing', cut, dropped], ['rejected_unfinished', cut, cut], ['chosen_unfinished', answer(''), cut],
    ['chosen_empty', answer(''), answer(' ')], ['rejected_empty', answer(' '), answer('x')], ['rejected_empty', answer(null), answer('x')], ['identical', answer('Paris'), answer('Paris\n')], ['identical', answer('café'), answer('cafe\u0301')],
    ['chosen_copy_of_reference', answer('paris'), answer(' The capital is Paris.')], ['chosen_meta_talk', answer('paris'), answer('Improved answer: Paris.')],
    [null, answer('I cannot help with that.'), answer('Paris.')], [null, answer('The capital is Paris.'), answer('It is Paris.')],
  ] as const)('%s', (expected, rejected, chosen) => { expect(reason(rejected, chosen)).toBe(expected); });
  it('takes the reference as the chosen side when that is the recipe', () => {
    expect(buildPair({ row, rejected: answer('paris'), chosen: answer(row.response), chosenIsReference: true, rules })).toMatchObject({ chosen: [{ content: 'The capital is Paris.' }] });
    expect(buildPair({ row, rejected: answer(row.response), chosen: answer(row.response), chosenIsReference: true, rules })).toEqual({ dropReason: 'identical' });
  });
  it('keeps cut answers, and passes over flaws, where the rules say so', () => {
    expect(reason(answer('paris'), cut, { rules: { ...rules, unfinished: 'keep' } })).toBeNull();
    expect(reason(cut, answer('Paris.'), { rules: { ...rules, unfinished: 'keep' } })).toBeNull();
    expect(reason(answer('paris'), answer('Improved answer: Paris.'), { rules: { ...rules, chosenFlaws: ['refusal'] } })).toBeNull();
    expect(reason(answer('paris'), answer('I cannot help with that.'), { rules: { ...rules, chosenFlaws: ['refusal'] } })).toBe('chosen_refusal');
    expect(reason(answer('paris'), answer(' '), { rules: { unfinished: 'keep', chosenFlaws: [] } })).toBe('chosen_empty');
  });
  it('marks the side that was cut short and is kept', () => {
    const keep = { row, rules: { ...rules, unfinished: 'keep' as const } };
    expect(buildPair({ ...keep, rejected: answer('paris'), chosen: cut })).toMatchObject({ chosen_unfinished: true, rejected_unfinished: false });
    expect(buildPair({ ...keep, rejected: cut, chosen: answer('Paris.') })).toMatchObject({ chosen_unfinished: false, rejected_unfinished: true });
  });
  it('gives every row a pair of two different texts, or a reason', () => {
    const any = fc.record({ text: fc.option(fc.constantFrom('', 'a', 'b', 'The capital is Paris.')), finishReason: fc.constantFrom('stop', 'length', null), dropReason: fc.option(fc.constant('gone')) });
    fc.assert(fc.property(any, any, (rejected, chosen) => {
      const built = buildPair({ row, rejected, chosen, rules });
      if ('dropReason' in built) return;
      expect(built.chosen).not.toEqual(built.rejected);
      expect([rejected.dropReason, chosen.dropReason]).toEqual([null, null]);
    }));
  });
});

describe('buildGivenPair', () => {
  const given = { id: 'id1', prompt: row.prompt, chosen: 'Improved answer: Paris.', rejected: 'I cannot help with that.' };
  it('takes both sides word for word, whatever they say', () => {
    expect(buildGivenPair({ row: given })).toEqual({ id: 'id1', prompt: row.prompt, chosen: [{ role: 'assistant', content: given.chosen }], rejected: [{ role: 'assistant', content: given.rejected }], chosen_unfinished: false, rejected_unfinished: false });
  });
  it.each([['chosen_empty', { chosen: ' ' }], ['rejected_empty', { rejected: '\n' }], ['identical', { chosen: given.rejected }], ['identical', { chosen: `${given.rejected}\n` }], ['identical', { chosen: 'é', rejected: 'e\u0301' }]] as const)(
    '%s %j', (dropReason, rest) => { expect(buildGivenPair({ row: { ...given, ...rest } })).toEqual({ dropReason }); },
  );
});

describe('createPairStats', () => {
  it('measures kept pairs only', () => {
    const stats = createPairStats();
    stats.add({ row: { ...row, response: 'abcdef' }, rejected: answer('ab'), chosen: answer('abcd'), rules });
    stats.add({ row, rejected: answer('cut off', { finishReason: 'length' }), chosen: answer('a long answer that would count'), rules });
    expect(stats.result()).toEqual({
      editDistance: { chosenToRejected: { meanCharacters: 2, meanNormalised: 0.5, n: 1 }, chosenToReference: { meanCharacters: 2, meanNormalised: 1 / 3, n: 1 } },
      lengths: { chosen: 4, rejected: 2, ratio: 2 }, flagged: { unfinished_kept: 0 },
    });
  });
  it('measures given pairs, which have no reference', () => {
    const stats = createPairStats();
    stats.addGiven({ id: 'a', prompt: row.prompt, chosen: 'abcd', rejected: 'ab' });
    stats.addGiven({ id: 'b', prompt: row.prompt, chosen: 'same and long', rejected: 'same and long ' });
    expect(stats.result()).toMatchObject({ editDistance: { chosenToRejected: { meanCharacters: 2, n: 1 }, chosenToReference: null }, lengths: { chosen: 4, rejected: 2, ratio: 2 } });
  });
  it('flags the pairs that have a side cut short', () => {
    const stats = createPairStats();
    const keep = { ...rules, unfinished: 'keep' } as const;
    stats.add({ row, rejected: answer('cut', { finishReason: 'length' }), chosen: answer('cut too', { finishReason: 'length' }), rules: keep });
    stats.add({ row, rejected: answer('whole'), chosen: answer('whole too'), rules: keep });
    expect(stats.result()).toMatchObject({ flagged: { unfinished_kept: 1 }, editDistance: { chosenToRejected: { n: 2 } } });
  });
  it('says nothing of nothing', () => {
    expect(createPairStats().result()).toEqual({ editDistance: { chosenToRejected: null, chosenToReference: null }, lengths: { chosen: null, rejected: null, ratio: null }, flagged: { unfinished_kept: 0 } });
  });
});
