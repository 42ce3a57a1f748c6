import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIngest, detectFormat, normaliseRow, promptId } from './rows.ts';
import type { DatasetFormat } from './rows.ts';

const u = (content: unknown) => ({ role: 'user', content });
const a = (content: unknown) => ({ role: 'assistant', content });
const s = (content: unknown) => ({ role: 'system', content });

describe('promptId', () => {
  it('is 16 hex digits of role and content alone', () => {
    const plain = promptId([{ role: 'user', content: 'hi' }]);
    expect(plain).toBe('4e79873118cd9be7');
    expect(promptId([{ content: 'hi', role: 'user', name: 'x' } as never])).toBe(plain);
    expect(promptId([{ role: 'system', content: 'hi' }])).not.toBe(plain);
  });
});

describe('detectFormat', () => {
  it.each([
    [['dataset', 'chosen', 'rejected', 'chosen_rating'], 'preference-messages'],
    [['prompt', 'prompt_id', 'chosen', 'rejected', 'messages', 'score_chosen'], 'ultrafeedback'],
    [['prompt', 'response'], 'prompt-response'], [['prompt', 'completion'], 'prompt-response'], [['id', 'prompt', 'reference'], 'prompt-response'],
    [['instruction', 'input', 'output'], 'prompt-response'], [['instruction', 'output'], 'prompt-response'],
    [['prompt', 'prompt_id', 'messages'], 'messages'], [['conversations'], 'messages'],
    [['text'], null], [[], null], [['prompt'], null], [['chosen'], null],
  ] as const)('%j is %s', (columns, format) => { expect(detectFormat(columns)).toBe(format); });
});

describe('normaliseRow', () => {
  const ok = (format: DatasetFormat, raw: unknown) => { const row = normaliseRow(format, raw); if ('dropReason' in row) throw new Error(`${row.dropReason}: ${row.detail}`); return row; };
  const reason = (format: DatasetFormat, raw: unknown) => { const row = normaliseRow(format, raw); return 'dropReason' in row ? row.dropReason : null; };

  it('reads each format', () => {
    expect(ok('preference-messages', { chosen: [s('be kind'), u('a'), a('b'), u('c'), a('d')], rejected: [] })).toEqual({ prompt: [s('be kind'), u('a'), a('b'), u('c')], response: 'd' });
    expect(ok('ultrafeedback', { prompt: 'q', chosen: [u('q'), a('r')], rejected: [] })).toEqual({ prompt: [u('q')], response: 'r' });
    expect(ok('ultrafeedback', { prompt: 'q', chosen: [a('r')], rejected: [] })).toEqual({ prompt: [u('q')], response: 'r' });
    expect(ok('ultrafeedback', { prompt: 'q', chosen: 'r', rejected: 'x' })).toEqual({ prompt: [u('q')], response: 'r' });
    for (const name of ['response', 'completion', 'reference']) expect(ok('prompt-response', { prompt: 'q', [name]: ' r ' })).toEqual({ prompt: [u('q')], response: ' r ' });
    expect(ok('prompt-response', { prompt: [s('t'), u('q')], completion: [a('r')] })).toEqual({ prompt: [s('t'), u('q')], response: 'r' });
    expect(ok('prompt-response', { instruction: 'do', input: 'this', output: 'done' })).toEqual({ prompt: [u('do\n\nthis')], response: 'done' });
    for (const input of ['', null, undefined]) expect(ok('prompt-response', { instruction: 'do', input, output: 'done' }).prompt).toEqual([u('do')]);
    expect(ok('messages', { prompt: 'q', messages: [u('q'), a('r')] })).toEqual({ prompt: [u('q')], response: 'r' });
    expect(ok('messages', { conversations: [{ from: 'human', value: 'q' }, { from: 'gpt', value: 'r' }] })).toEqual({ prompt: [u('q')], response: 'r' });
  });
  it('leaves a blank system turn out', () => {
    expect(ok('messages', { messages: [s('  '), u('q'), a('r')] }).prompt).toEqual([u('q')]);
  });
  it.each([
    ['empty_prompt', [u(' \n'), a('r')]], ['empty_prompt', [a('r')]], ['empty_prompt', []], ['empty_prompt', [s('x'), a('r')]],
    ['empty_response', [u('q'), a('\t')]],
    ['unknown_role', [{ role: 'tool', content: 'x' }, a('r')]], ['unknown_role', [{ role: 'toString', content: 'x' }, a('r')]], ['unknown_role', [{ content: 'x' }]],
    ['ends_on_user', [u('q'), a('r'), u('s')]],
    ['bad_turn_order', [u('q'), u('q'), a('r')]], ['bad_turn_order', [u('q'), s('x'), a('r')]], ['bad_turn_order', [a('x'), u('q'), a('r')]], ['bad_turn_order', [u('q'), a('r'), a('r')]],
    ['bad_turn_order', [u('q'), s('x')]],
    ['not_text', [u(7), a('r')]], ['not_text', [u('q'), a(null)]], ['not_text', ['q']], ['not_text', 5],
    ['invalid_unicode', [u('\ud800'), a('r')]], ['invalid_unicode', [u('q'), a('a\0b')]],
  ])('%s: %j', (expected, messages) => { expect(reason('messages', { messages })).toBe(expected); });
  it('says not_text of rows and columns that are no text at all', () => {
    for (const raw of [null, 3, 'x', [], { messages: null }, {}]) expect(reason('messages', raw)).toBe('not_text');
    for (const raw of [{ prompt: 1, response: 'r' }, { prompt: 'q', response: null }, { prompt: 'q' }, { instruction: 1, output: 'x' }, { instruction: 'x', input: 1, output: 'x' }]) expect(reason('prompt-response', raw)).toBe('not_text');
  });
  it('never throws, and keeps only rows whose prompt has an id', () => {
    fc.assert(fc.property(fc.constantFrom<DatasetFormat>('messages', 'preference-messages', 'ultrafeedback', 'prompt-response'), fc.anything(), fc.anything(), (format, x, y) => {
      const row = normaliseRow(format, { prompt: x, response: y, chosen: y, messages: y });
      if (!('dropReason' in row)) expect(promptId(row.prompt)).toHaveLength(16);
    }));
  });
});

describe('createIngest', () => {
  it('counts every row once, and numbers the kept', () => {
    const shared = promptId([{ role: 'user', content: 'shared' }]);
    const ingest = createIngest({ limit: 2, against: new Set([shared]) });
    const accept = (prompt: unknown) => ingest.accept('prompt-response', { prompt, response: 'r' });
    expect(accept('a')).toMatchObject({ pos: 0, response: 'r' });
    expect(accept('a')).toMatchObject({ dropReason: 'duplicate_prompt' });
    expect(accept('shared')).toMatchObject({ dropReason: 'shared_prompt' });
    expect(accept('')).toMatchObject({ dropReason: 'empty_prompt' });
    expect(accept('b')).toMatchObject({ pos: 1, id: promptId([{ role: 'user', content: 'b' }]) });
    expect(accept('c')).toMatchObject({ dropReason: 'over_limit' });
    expect(accept('a')).toMatchObject({ dropReason: 'over_limit' });
    expect(ingest.counts()).toEqual({ rowsIn: 7, rowsOut: 2, dropped: { duplicate_prompt: 1, shared_prompt: 1, empty_prompt: 1, over_limit: 2 } });
  });
  it('adds up for any rows', () => {
    fc.assert(fc.property(fc.array(fc.record({ prompt: fc.constantFrom('a', 'b', 'c', '', null, '\0'), response: fc.constantFrom('r', '') })), fc.option(fc.nat(4)), (rows, limit) => {
      const ingest = createIngest({ limit, against: null });
      const kept = rows.map((row) => ingest.accept('prompt-response', row)).filter((row) => 'id' in row);
      const { rowsIn, rowsOut, dropped } = ingest.counts();
      expect(rowsIn).toBe(rows.length);
      expect(rowsOut).toBe(kept.length);
      expect(rowsOut).toBeLessThanOrEqual(limit ?? Infinity);
      expect(rowsIn).toBe(rowsOut + Object.values(dropped).reduce((sum, n) => sum + n, 0));
      expect(kept.map(({ pos }) => pos)).toEqual(kept.map((_, index) => index));
    }));
  });
});
