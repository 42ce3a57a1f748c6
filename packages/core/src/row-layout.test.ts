import { describe, expect, it } from 'vitest';
import { detectFormat, detectLayout, formatOfRow, missingColumns } from './row-layout.ts';

describe('detectFormat', () => {
  it.each([
    [['dataset', 'chosen', 'rejected', 'chosen_rating'], 'preference-messages'],
    [['prompt', 'prompt_id', 'chosen', 'rejected', 'messages', 'score_chosen', 'score_rejected'], 'ultrafeedback'], [['prompt', 'chosen', 'rejected'], 'ultrafeedback'],
    [['id', 'source', 'prompt', 'chosen', 'rejected', 'chosen_rating', 'rejected_rating', 'chosen_model'], 'tulu3-preference'],
    [['domain', 'language', 'context', 'response1', 'response2', 'overall_preference', 'individual_preference'], 'helpsteer3'],
    [['prompt', 'response'], 'prompt-response'], [['prompt', 'completion'], 'prompt-response'], [['id', 'prompt', 'reference'], 'prompt-response'],
    [['instruction', 'input', 'output'], 'instruction'], [['instruction', 'output'], 'instruction'],
    [['prompt', 'prompt_id', 'messages'], 'messages'], [['conversations'], 'sharegpt'],
    [['text'], null], [[], null], [['prompt'], null], [['chosen'], null], [['context', 'response1', 'response2'], null],
  ] as const)('%j is %s', (columns, format) => { expect(detectFormat(columns)).toBe(format); });

  it('looks into the rows where a column does not tell', () => {
    const [chat, share] = [[{ role: 'user', content: 'q' }], [{ from: 'human', value: 'q' }]];
    expect(detectFormat(['messages'], [{ messages: share }])).toBe('sharegpt');
    expect(detectFormat(['conversations'], [{ conversations: null }, { conversations: chat }])).toBe('messages');
    expect(detectFormat(['conversations'], [{ conversations: [] }, { conversations: 'x' }])).toBe('sharegpt');
  });
});

describe('a layout', () => {
  const head = { columns: ['question', 'answer', 'score_chosen'], rows: [{ question: 'q', answer: 'a' }] };
  it('takes a map of columns, and a named format at its word', () => {
    expect(detectLayout(head, { format: 'auto', columns: null })).toBeNull();
    const columns = { prompt: 'question', response: 'answer' };
    expect(detectLayout(head, { format: 'auto', columns })).toEqual({ format: 'prompt-response', named: false, columns, scores: ['score_chosen', 'score_rejected'] });
    expect(detectLayout(head, { format: 'helpsteer3', columns: null })).toMatchObject({ format: 'helpsteer3', named: true });
    expect(missingColumns('prompt-response', head.columns)).toEqual(['prompt', 'response or completion or reference']);
  });
  it('lets each row have its own format, unless one is named', () => {
    const layout = { format: 'prompt-response', named: false, columns: null, scores: null } as const;
    expect(formatOfRow({ prompt: 'q', response: 'a', messages: [] }, layout)).toBe('prompt-response');
    expect(formatOfRow({ instruction: 'q', output: 'a' }, layout)).toBe('instruction');
    expect(formatOfRow({ prompt: 'q' }, layout)).toBeNull();
    expect(formatOfRow({ instruction: 'q', output: 'a' }, { ...layout, named: true })).toBeNull();
    expect(formatOfRow(Object.create({ prompt: 'q', response: 'a' }) as Record<string, unknown>, layout)).toBeNull();
  });
});
