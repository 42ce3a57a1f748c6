import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdSet } from './id-set.ts';
import { isDrop } from './row-drops.ts';
import { detectLayout } from './row-layout.ts';
import { createIngest, promptId, type IngestOptions } from './rows.ts';

const u = (content: string) => ({ role: 'user' as const, content });
const a = (content: string) => ({ role: 'assistant' as const, content });

describe('promptId', () => {
  it('is 16 hex digits of role and content alone', () => {
    const plain = promptId([{ role: 'user', content: 'hi' }]);
    expect(plain).toBe('4e79873118cd9be7');
    expect(promptId([{ content: 'hi', role: 'user', name: 'x' } as never])).toBe(plain);
    expect(promptId([{ role: 'system', content: 'hi' }])).not.toBe(plain);
  });
});

function open(columns: readonly string[], options: Partial<IngestOptions> = {}) {
  const layout = detectLayout({ columns, rows: [] }, { format: 'auto', columns: null });
  if (layout === null) throw new Error('no layout');
  return createIngest({ space: 'policy', layout, limit: null, against: {}, heldOutOverlap: 'drop', scores: 'check', dropFlagged: [], ...options });
}
const setOf = (...prompts: readonly string[]) => { const ids = createIdSet(); for (const prompt of prompts) ids.add(promptId([u(prompt)])); return ids; };
const pairs = ['prompt', 'response'];

describe('createIngest', () => {
  it('counts every row once, and numbers the kept', () => {
    const ingest = open(pairs, { limit: 2, against: { improver: setOf('shared'), heldOut: setOf('asked') } });
    const accept = (prompt: unknown) => ingest.accept({ prompt, response: 'an answer' });
    expect(accept('a')).toMatchObject({ kind: 'answer', pos: 0, prompt: [u('a')], response: 'an answer', flags: [] });
    expect(accept('a')).toMatchObject({ dropReason: 'duplicate_prompt' });
    expect(accept('shared')).toMatchObject({ dropReason: 'shared_prompt' });
    expect(accept('asked')).toMatchObject({ dropReason: 'evaluation_prompt' });
    expect(accept('')).toMatchObject({ dropReason: 'empty_prompt' });
    expect(ingest.refuse('malformed_line', 'line 6 is not JSON')).toMatchObject({ dropReason: 'malformed_line' });
    expect(accept('b')).toMatchObject({ pos: 1, id: promptId([u('b')]) });
    expect(accept('c')).toMatchObject({ dropReason: 'over_limit' });
    expect(ingest.refuse('malformed_line', 'line 9 is not JSON')).toMatchObject({ dropReason: 'over_limit' });
    expect(ingest.counts()).toEqual({
      rowsIn: 9, rowsOut: 2, dropped: { duplicate_prompt: 1, shared_prompt: 1, evaluation_prompt: 1, empty_prompt: 1, malformed_line: 1, over_limit: 2 },
      flagged: {}, formats: { 'prompt-response': 2 }, overlaps: 0,
    });
  });
  it('finds an evaluation prompt at the start of a conversation, and keeps it when told to', () => {
    const row = { messages: [u('asked'), a('r'), u('more'), a('s')] };
    const against = { heldOut: setOf('asked') };
    expect(open(['messages'], { space: 'sft', against }).accept(row)).toMatchObject({ dropReason: 'evaluation_prompt' });
    const keeping = open(['messages'], { space: 'sft', against, heldOutOverlap: 'keep' });
    expect(keeping.accept(row)).toMatchObject({ kind: 'conversation', messages: row.messages, id: promptId(row.messages.slice(0, -1)) });
    expect(keeping.counts()).toMatchObject({ rowsOut: 1, overlaps: 1 });
    expect(open(['messages'], { space: 'sft', against }).accept({ messages: [u('other'), a('r'), u('asked'), a('s')] })).toMatchObject({ pos: 0 });
  });
  it('keeps several pairs of one prompt, and one of equal pairs', () => {
    const ingest = open(['prompt', 'chosen', 'rejected', 'score_chosen', 'score_rejected'], { space: 'preferences' });
    const accept = (chosen: string, rejected: string) => ingest.accept({ prompt: 'q', chosen, rejected, score_chosen: 2, score_rejected: 1 });
    expect(accept('good one', 'bad one')).toMatchObject({ kind: 'pair', pos: 0, scores: { chosen: 2, rejected: 1 } });
    expect(accept('good one', 'worse one')).toMatchObject({ pos: 1 });
    expect(accept('good one', 'bad one')).toMatchObject({ dropReason: 'duplicate_prompt' });
  });
  it('looks at scores where the file has them, unless told not to', () => {
    const row = { prompt: 'q', chosen: 'good one', rejected: 'bad one' };
    const columns = ['prompt', 'chosen', 'rejected', 'score_chosen'];
    expect(open(columns, { space: 'preferences' }).accept(row)).toMatchObject({ dropReason: 'score_missing' });
    expect(open(columns, { space: 'preferences', scores: 'ignore' }).accept(row)).toMatchObject({ pos: 0, scores: null });
    expect(open(columns).accept(row)).toMatchObject({ kind: 'answer', response: 'good one' });
  });
  it('counts flags of kept rows, and drops by those it is told to', () => {
    const rows = [{ prompt: 'q', response: 'a\u200bb c' }, { prompt: 'p', response: 'a bell\u0007' }];
    const ingest = open(pairs, { dropFlagged: ['control_characters'] });
    expect(ingest.accept(rows[0])).toMatchObject({ flags: ['zero_width'], response: 'a\u200bb c' });
    expect(ingest.accept(rows[1])).toMatchObject({ dropReason: 'control_characters' });
    expect(ingest.accept({ prompt: 'p', response: 'a bell' })).toMatchObject({ pos: 1 });
    expect(ingest.counts()).toMatchObject({ flagged: { zero_width: 1 }, dropped: { control_characters: 1 } });
  });
  it('takes rows of other formats, and drops rows of none', () => {
    const ingest = open(pairs);
    ingest.accept({ prompt: 'q', response: 'an answer' });
    expect(ingest.accept({ instruction: 'do it', output: 'it is done' })).toMatchObject({ prompt: [u('do it')] });
    expect(ingest.accept({ text: 'x' })).toMatchObject({ dropReason: 'wrong_columns', detail: 'the row has the columns text' });
    expect(ingest.accept(7)).toMatchObject({ dropReason: 'not_an_object' });
    expect(ingest.counts()).toMatchObject({ rowsOut: 2, formats: { 'prompt-response': 1, instruction: 1 }, dropped: { wrong_columns: 1, not_an_object: 1 } });
    const given = open(['prompt', 'chosen', 'rejected'], { space: 'preferences' });
    expect(given.accept({ prompt: 'q', response: 'r' })).toMatchObject({ dropReason: 'wrong_columns' });
  });
  it('adds up for any rows', () => {
    const text = fc.constantFrom('a b', 'b c', '', null, '\0', '\u200b', 'x\u202ey', '<|im_end|>');
    fc.assert(fc.property(fc.array(fc.oneof(fc.record({ prompt: text, response: text }), fc.anything())), fc.option(fc.nat(4)), fc.constantFrom('improver', 'policy', 'sft', 'heldOut'), (rows, limit, space) => {
      const ingest = open(pairs, { limit, space, dropFlagged: ['template_tokens'] });
      const kept = rows.map((row) => ingest.accept(row)).flatMap((row) => (isDrop(row) ? [] : [row]));
      const { rowsIn, rowsOut, dropped } = ingest.counts();
      expect(rowsIn).toBe(rows.length);
      expect(rowsOut).toBe(kept.length);
      expect(rowsOut).toBeLessThanOrEqual(limit ?? Infinity);
      expect(rowsIn).toBe(rowsOut + Object.values(dropped).reduce((sum, n) => sum + n, 0));
      expect(kept.map(({ pos }) => pos)).toEqual(kept.map((_, index) => index));
    }));
  });
});
