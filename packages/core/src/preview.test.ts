import { describe, expect, it } from 'vitest';
import { renderPreview } from './preview-markdown.ts';
import { previewGivenRow, previewImproverRow, previewNotes, previewPolicyRow } from './preview.ts';
import { presets } from './recipes.ts';
import { sampleSource, sampleSpec } from './testing/sample-spec.ts';

const { rules } = sampleSpec();
const row = { id: 'ab', prompt: [{ role: 'user' as const, content: 'Where is Oslo?' }], response: 'Oslo is the capital of Norway.' };
const answer = (text: string | null, finishReason = 'stop', dropReason: string | null = null) => ({ text, finishReason, dropReason });

describe('verdicts of a preview', () => {
  it('of targets are those of the improver set: kept, or the first reason', () => {
    const target = (text: string, dropReason: string | null = null, finishReason = 'stop') => ({ answer: answer(text, finishReason), perplexity: 3.5, verdict: { dropReason } });
    const built = previewImproverRow({ row, draft: answer('In Sweden.'), improved: target('In Norway.'), external: target('Norway, of course', 'perplexity_high') }, { prompt: 'train', rules });
    expect(built).toEqual({
      space: 'improver', id: 'ab', prompt: row.prompt, reference: row.response, draft: 'In Sweden.', improved: 'In Norway.', external: 'Norway, of course', chosen: null, rejected: null,
      perplexity: { improved: 3.5, external: 3.5 }, verdicts: { improved: 'kept', external: 'perplexity_high' },
    });
    const cut = previewImproverRow({ row, draft: answer('In Sweden.'), improved: null, external: target('Norway is', null, 'length') }, { prompt: 'train', rules });
    expect([cut.verdicts, cut.improved]).toEqual([{ external: 'teacher_unfinished' }, null]);
  });

  it('of pairs are those of the pair step', () => {
    expect(previewPolicyRow({ row, rejected: answer('In Sweden.'), refined: answer('In Norway.') }, rules)).toMatchObject({ chosen: 'In Norway.', rejected: 'In Sweden.', verdicts: { pair: 'kept' } });
    expect(previewPolicyRow({ row, rejected: answer('In Sweden.'), refined: answer('In Sweden. ') }, rules).verdicts).toEqual({ pair: 'identical' });
    expect(previewPolicyRow({ row, rejected: answer(null, 'stop', 'prompt_too_long'), refined: answer('x') }, rules)).toMatchObject({ rejected: null, verdicts: { pair: 'rejected_prompt_too_long' } });
  });

  it('of pairs with the reference as the chosen side do not search it for flaws', () => {
    expect(previewPolicyRow({ row, rejected: answer('In Sweden.'), refined: null }, rules)).toMatchObject({ chosen: row.response, verdicts: { pair: 'kept' } });
  });

  it('of given pairs', () => {
    const given = { id: 'ab', prompt: row.prompt, chosen: 'yes', rejected: ' yes' };
    expect(previewGivenRow(given)).toMatchObject({ space: 'preferences', chosen: 'yes', rejected: ' yes', reference: null, verdicts: { pair: 'identical' } });
  });
});

describe('notes of a preview', () => {
  const notes = (change: Parameters<typeof sampleSpec>[0]) => previewNotes(sampleSpec(change)).join('\n');
  it('tell what stands in for what', () => {
    expect(notes({})).toMatch(/π₀ stands in for the improver/);
    expect(notes({ recipe: presets['sgpo-offpolicy'].options })).toMatch(/π₀ stands in for π\*\./);
    expect(notes({ recipe: presets.spin.options })).not.toMatch(/stands in|quartiles/);
    expect(notes({ recipe: presets.spin.options, data: { ...sampleSpec().data, sft: sampleSource('s') } })).toMatch(/base model stands in for π₀/);
  });
});

describe('a preview for people', () => {
  it('keeps every text inside its fence', () => {
    const evil = 'a\n```\n# Heading\n````\n[x](javascript:1)';
    const text = renderPreview({ rows: [previewGivenRow({ id: 'ab', prompt: [{ role: 'user', content: evil }], chosen: 'b', rejected: 'c' })], spent: { calls: 2, promptTokens: 10, completionTokens: 5, cost: null }, notes: ['note'] });
    expect(text).toContain(`\n\`\`\`\`\`text\n${evil}\n\`\`\`\`\`\n`);
    expect(text).toContain('2 answers paid, 10 prompt and 5 completion tokens, cost unknown: no price is known');
    expect(text).toContain('### ab – pair: kept');
  });
});
