import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isDrop } from './row-drops.ts';
import { rowFormats, type RowFormat } from './row-formats.ts';
import { readConversation } from './row-readers.ts';
import { readPair } from './row-pairs.ts';

const u = (content: unknown) => ({ role: 'user', content });
const a = (content: unknown) => ({ role: 'assistant', content });
const s = (content: unknown) => ({ role: 'system', content });

describe('readConversation', () => {
  const ok = (format: RowFormat, raw: Record<string, unknown>) => { const turns = readConversation(format, raw); if (isDrop(turns)) throw new Error(`${turns.dropReason}: ${turns.detail}`); return turns; };
  const reason = (format: RowFormat, raw: Record<string, unknown>) => { const turns = readConversation(format, raw); return isDrop(turns) ? turns.dropReason : null; };

  it('reads each format', () => {
    expect(ok('preference-messages', { chosen: [s('be kind'), u('a'), a('b'), u('c'), a('d')], rejected: [] })).toEqual([s('be kind'), u('a'), a('b'), u('c'), a('d')]);
    expect(ok('ultrafeedback', { prompt: 'q', chosen: [u('q'), a('r')], rejected: [] })).toEqual([u('q'), a('r')]);
    expect(ok('ultrafeedback', { prompt: 'q', chosen: [a('r')], rejected: [] })).toEqual([u('q'), a('r')]);
    expect(ok('tulu3-preference', { prompt: 'q', chosen: 'r', rejected: 'x' })).toEqual([u('q'), a('r')]);
    for (const name of ['response', 'completion', 'reference']) expect(ok('prompt-response', { prompt: 'q', [name]: ' r ' })).toEqual([u('q'), a(' r ')]);
    expect(ok('prompt-response', { prompt: [s('t'), u('q')], completion: [a('r')] })).toEqual([s('t'), u('q'), a('r')]);
    expect(ok('instruction', { instruction: 'do', input: 'this', output: 'done' })).toEqual([u('do\n\nthis'), a('done')]);
    for (const input of ['', ' \u200b', null, undefined]) expect(ok('instruction', { instruction: 'do', input, output: 'done' })).toEqual([u('do'), a('done')]);
    expect(ok('messages', { prompt: 'q', messages: [u('q'), a('r')] })).toEqual([u('q'), a('r')]);
    expect(ok('messages', { conversations: [u('q'), a('r')] })).toEqual([u('q'), a('r')]);
    expect(ok('sharegpt', { conversations: [{ from: 'system', value: 't' }, { from: 'human', value: 'q' }, { from: 'gpt', value: 'r' }] })).toEqual([s('t'), u('q'), a('r')]);
    expect(ok('helpsteer3', { context: [u('q')], response1: 'x', response2: 'y', overall_preference: 2 })).toEqual([u('q'), a('y')]);
    expect(ok('helpsteer3', { context: [u('q')], response1: 'x', response2: 'y', overall_preference: -1 })).toEqual([u('q'), a('x')]);
  });
  it('leaves a blank system turn out', () => {
    expect(ok('messages', { messages: [s('  '), u('q'), a('r')] })).toEqual([u('q'), a('r')]);
  });
  it.each([
    ['empty_prompt', [u(' \n'), a('r')]], ['empty_prompt', [a('r')]], ['empty_prompt', []], ['empty_prompt', [s('x'), a('r')]], ['empty_prompt', [u('\u00a0\u200b\ufeff'), a('r')]],
    ['empty_response', [u('q'), a('\t')]], ['empty_response', [u('q'), a('\u200d\u2060')]], ['empty_response', [u('q'), a(''), u('p'), a('r')]],
    ['unknown_role', [{ role: 'tool', content: 'x' }, a('r')]], ['unknown_role', [{ role: 'toString', content: 'x' }, a('r')]], ['unknown_role', [{ content: 'x' }]],
    ['ends_on_user', [u('q'), a('r'), u('s')]],
    ['bad_turn_order', [u('q'), u('q'), a('r')]], ['bad_turn_order', [u('q'), s('x'), a('r')]], ['bad_turn_order', [a('x'), u('q'), a('r')]], ['bad_turn_order', [u('q'), a('r'), a('r')]],
    ['bad_turn_order', [u('q'), s('x')]], ['bad_turn_order', [s('x'), s('y'), u('q'), a('r')]],
    ['not_text', [u(7), a('r')]], ['not_text', [u('q'), a(null)]], ['not_text', ['q']], ['not_text', 5],
    ['invalid_unicode', [u('\ud800'), a('r')]], ['invalid_unicode', [u('q'), a('a\0b')]], ['invalid_unicode', [u('q'), a('\0')]],
    ['text_too_long', [u('q'), a('x'.repeat(1_000_001))]],
  ])('%s: %#', (expected, messages) => { expect(reason('messages', { messages })).toBe(expected); });
  it('never tells a text in a detail', () => {
    const result = readConversation('messages', { messages: [u('secret'), u('secret'), a('r')] });
    expect(JSON.stringify(result)).not.toContain('secret');
  });
  it('never throws, whatever a row holds', () => {
    fc.assert(fc.property(fc.constantFrom(...rowFormats), fc.anything(), fc.anything(), (format, x, y) => {
      const result = readConversation(format, { prompt: x, response: y, chosen: y, messages: y, conversations: y, context: x, response1: y, response2: y, overall_preference: x, instruction: x, output: y });
      if (!isDrop(result)) expect(result.at(-1)?.role).toBe('assistant');
    }));
  });
});

describe('readPair', () => {
  const scored = ['score_chosen', 'score_rejected'] as const;
  const of = (chosen: string, rejected: string, more: Record<string, unknown> = {}) => ({ prompt: 'q', chosen: [u('q'), a(chosen)], rejected: [u('q'), a(rejected)], ...more });
  const reason = (row: Record<string, unknown>, scores: typeof scored | null = scored) => { const pair = readPair('ultrafeedback', row, scores); return isDrop(pair) ? pair.dropReason : null; };

  it('gives prompt, texts and scores as they are', () => {
    expect(readPair('ultrafeedback', of(' a ', 'b', { score_chosen: 8, score_rejected: 7n }), scored)).toEqual({ prompt: [u('q')], chosen: ' a ', rejected: 'b', scores: { chosen: 8, rejected: 7 } });
    expect(readPair('helpsteer3', { context: [s('t'), u('q')], response1: 'x', response2: 'y', overall_preference: -3 }, null)).toEqual({ prompt: [s('t'), u('q')], chosen: 'x', rejected: 'y', scores: null });
  });
  it.each([
    ['identical', of('same', 'same')], ['identical_after_trim', of('same', ' same\n')], ['identical_after_nfc', of('caf\u00e9', 'cafe\u0301')],
    ['prompts_differ', { prompt: 'q', chosen: [u('q'), a('x')], rejected: [u('p'), a('y')] }], ['prompts_differ', { prompt: 'q', chosen: [s('t'), u('q'), a('x')], rejected: [u('q'), a('y')] }],
    ['empty_response', of('x', ' ')], ['ends_on_user', { prompt: 'q', chosen: [u('q'), a('x')], rejected: [u('q')] }],
    ['score_missing', of('x', 'y', { score_chosen: 1 })], ['score_missing', of('x', 'y', { score_chosen: 1, score_rejected: null })],
    ['score_not_finite', of('x', 'y', { score_chosen: Infinity, score_rejected: 1 })], ['score_not_finite', of('x', 'y', { score_chosen: NaN, score_rejected: 1 })], ['score_not_finite', of('x', 'y', { score_chosen: '9', score_rejected: 1 })],
    ['score_huge', of('x', 'y', { score_chosen: 1e7, score_rejected: 1 })], ['tied_scores', of('x', 'y', { score_chosen: 1, score_rejected: 1 })], ['inverted_scores', of('x', 'y', { score_chosen: 1, score_rejected: 2 })],
  ])('%s: %#', (expected, row) => { expect(reason(row)).toBe(expected); });
  it('asks for no scores where the file has none, or they are not to be looked at', () => {
    expect(reason(of('x', 'y'), null)).toBeNull();
    expect(reason(of('x', 'y', { score_chosen: 1, score_rejected: 2 }), null)).toBeNull();
  });
  it.each([[0, 'tied_scores'], [null, 'score_missing'], [Infinity, 'score_not_finite'], ['2', 'score_not_finite']])('cannot tell sides by the preference %s', (overall_preference, expected) => {
    expect(readPair('helpsteer3', { context: 'q', response1: 'x', response2: 'y', overall_preference }, null)).toMatchObject({ dropReason: expected });
  });
});
