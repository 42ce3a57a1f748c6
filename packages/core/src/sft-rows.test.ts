import { describe, expect, it } from 'vitest';
import type { Answer, DataRow } from './answers.ts';
import { flaws } from './detect.ts';
import { buildSftRow, createSftStats } from './sft-rows.ts';
import type { SftExample } from './sft-rows.ts';

const row: DataRow = { id: 'id1', prompt: [{ role: 'user', content: 'Capital of France?' }], response: 'The capital is Paris.' };
const answer = (text: string | null, rest: Partial<Answer> = {}): Answer => ({ text, finishReason: 'stop', dropReason: null, ...rest });
const kept = { dropReason: null };
const rules = { unfinished: 'drop', targetFlaws: flaws, copyOfDraft: 'drop' } as const satisfies SftExample['rules'];
const build = (rest: Partial<SftExample> = {}) =>
  buildSftRow({ row, draft: answer('paris'), target: answer('Paris is the capital.'), verdict: kept, prompt: 'train', rules, ...rest });
const reason = (rest: Partial<SftExample>) => { const built = build(rest); return 'dropReason' in built ? built.dropReason : null; };

describe('buildSftRow', () => {
  it('asks p_train(x, y₀) and answers with the target, word for word', () => {
    expect(build({ target: answer(' Paris.\n') })).toEqual({
      id: 'id1', prompt: [{ role: 'user', content: expect.stringContaining('[draft]\nparis\n[/draft]') as string }], completion: [{ role: 'assistant', content: ' Paris.\n' }], unfinished: false,
    });
  });
  it('never shows the reference unless the recipe says so', () => {
    const text = (prompt: 'train' | 'train-with-reference') => JSON.stringify(build({ prompt }));
    expect(text('train')).not.toContain('The capital is Paris.');
    expect(text('train-with-reference')).toContain('The capital is Paris.');
  });
  it('learns from a draft that was cut short', () => { expect(reason({ draft: answer('par', { finishReason: 'length' }) })).toBeNull(); });
  it('gives one reason a row, in a fixed order', () => {
    const faults: [string, Partial<SftExample>][] = [
      ['prompt_too_long', { draft: answer(null, { dropReason: 'prompt_too_long' }) }],
      ['teacher_gone', { target: answer(null, { dropReason: 'teacher_gone' }) }],
      ['teacher_unfinished', { target: answer('', { finishReason: 'length' }) }],
      ['perplexity_high', { verdict: { dropReason: 'perplexity_high' }, target: answer('') }],
      ['target_empty', { target: answer(' ') }],
    ];
    for (const [expected, fault] of faults) expect(reason(fault)).toBe(expected);
    expect(reason(Object.assign({}, ...faults.map(([, fault]) => fault).toReversed()) as object)).toBe('prompt_too_long');
    expect(reason({ target: answer(null, { dropReason: 'teacher_gone' }), verdict: null })).toBe('teacher_gone');
  });
  it.each([
    ['not_scored', { verdict: null }], ['teacher_unfinished', { target: answer('x', { finishReason: 'content_filter' }) }],
    ['target_copy_of_reference', { target: answer('The capital is Paris. ') }], ['target_meta_talk', { target: answer('Improved response: Paris.') }],
    ['copy_of_draft', { target: answer('paris ') }], ['target_empty', { target: answer(null) }],
  ] as const)('%s', (expected, rest) => { expect(reason(rest)).toBe(expected); });
  it.each<[string, Partial<SftExample>]>([
    ['unfinished', { target: answer('Paris is', { finishReason: 'length' }), rules: { ...rules, unfinished: 'keep' } }],
    ['targetFlaws', { target: answer('Improved response: Paris.'), rules: { ...rules, targetFlaws: ['refusal', 'broken_escape'] } }],
    ['copyOfDraft', { target: answer('paris '), rules: { ...rules, copyOfDraft: 'keep' } }],
  ])('rules.%s keeps what it dropped', (_, rest) => {
    expect(reason({ ...rest, rules })).not.toBeNull();
    expect(reason(rest)).toBeNull();
  });
  it('marks a target that was cut short and is kept', () => {
    expect(build({ target: answer('Paris is', { finishReason: 'length' }), rules: { ...rules, unfinished: 'keep' } })).toMatchObject({ completion: [{ content: 'Paris is' }], unfinished: true });
  });
  it('never takes an empty target, and tells copies of the draft in any encoding of its accents', () => {
    expect(reason({ target: answer(' '), rules: { unfinished: 'keep', targetFlaws: [], copyOfDraft: 'keep' } })).toBe('target_empty');
    expect(reason({ draft: answer('café'), target: answer('cafe\u0301') })).toBe('copy_of_draft');
  });
});

describe('createSftStats', () => {
  it('measures ŷ against y₀ and y_sft, and the lengths of all four', () => {
    const stats = createSftStats();
    stats.add({ target: 'improved', row: { ...row, response: 'kitten' }, draft: answer('sit'), answer: answer('sitting'), kept: true });
    stats.add({ target: 'external', row: { ...row, response: 'kitten' }, draft: answer('sit'), answer: answer('😀😀'), kept: true });
    expect(stats.result()).toEqual({
      editDistance: { improvedToDraft: { meanCharacters: 4, meanNormalised: 4 / 7, n: 1 }, improvedToReference: { meanCharacters: 3, meanNormalised: 3 / 7, n: 1 } },
      lengths: { draft: 3, reference: 6, improved: 7, external: 2 }, flagged: { unfinished_kept: 0 },
    });
  });
  it('leaves out what was dropped or cut, and says nothing of nothing', () => {
    const stats = createSftStats();
    stats.add({ target: 'improved', row, draft: answer(null, { dropReason: 'x' }), answer: answer('abc', { finishReason: 'length' }), kept: false });
    stats.add({ target: 'improved', row, draft: answer('d'), answer: answer(null, { dropReason: 'x' }), kept: false });
    expect(stats.result()).toMatchObject({ editDistance: { improvedToDraft: null, improvedToReference: null }, lengths: { draft: 1, improved: null, external: null } });
  });
  it('flags the targets cut short that are kept', () => {
    const stats = createSftStats();
    for (const isKept of [true, false]) stats.add({ target: 'external', row, draft: answer('d'), answer: answer('abc', { finishReason: 'length' }), kept: isKept });
    expect(stats.result()).toMatchObject({ flagged: { unfinished_kept: 1 }, lengths: { external: null } });
  });
  it('takes distances of so many rows only', () => {
    const stats = createSftStats({ maxPairs: 2 });
    for (const text of ['a', 'ab', 'abcdef']) stats.add({ target: 'improved', row: { ...row, response: '' }, draft: answer('a'), answer: answer(text), kept: true });
    expect(stats.result()).toMatchObject({ editDistance: { improvedToDraft: { meanCharacters: 0.5, n: 2 } }, lengths: { improved: 3 } });
  });
});
