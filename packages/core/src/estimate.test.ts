import { describe, expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import { showPrompts } from './estimate-prompts.ts';
import { createSetMeasure } from './estimate-sets.ts';
import type { SetSize } from './estimate-sets.ts';
import { estimateRun } from './estimate.ts';
import type { Rate } from './estimate.ts';
import { fillPrompt, promptTemplates } from './prompts.ts';
import { presetNames, presets } from './recipes.ts';
import type { IngestedRow } from './rows.ts';
import { sampleSource, sampleSpec } from './testing/sample-spec.ts';
import type { RunSpec } from './spec.ts';

const set = (rows: number, prompt: number, answer: number, rejected = 0): SetSize => ({ rows, characters: { prompt, answer, rejected } });
const sets = { sft: set(10, 400, 4000), improver: set(20, 800, 1600), policy: set(30, 1200, 2400), preferences: set(40, 1600, 3200, 2000), heldOut: set(5, 200, 401) };
const estimate = (change: Partial<RunSpec> = {}, rates: readonly Rate[] = []) => {
  const spec = sampleSpec(change);
  return estimateRun({ spec, plan: compileRun(spec), sets, rates });
};
const steps = (change: Partial<RunSpec> = {}, rates: readonly Rate[] = []) => new Map(estimate(change, rates).steps.map((step) => [step.key, step]));
const answerRow = (id: string, prompt: string, response: string): IngestedRow => ({ kind: 'answer', id, pos: 0, flags: [], prompt: [{ role: 'user', content: prompt }], response });

describe('an estimate', () => {
  it('has every step of every preset', () => {
    for (const preset of presetNames) {
      const spec = sampleSpec({ preset, recipe: presets[preset].options, data: { ...sampleSpec().data, sft: sampleSource('s'), preferences: sampleSource('d') } });
      expect(estimateRun({ spec, plan: compileRun(spec), sets, rates: [] }).steps.map(({ key }) => key)).toEqual(compileRun(spec).steps.map(({ key }) => key));
    }
  });

  it('counts rows and tokens of sampling, teaching and scoring', () => {
    const at = steps();
    expect(at.get('ingest-improver')).toMatchObject({ rows: 20, promptTokens: 0, completionTokens: 0, seconds: null });
    // 800 characters of prompts; answers of at most 96 tokens.
    expect(at.get('generate-y0')).toMatchObject({ rows: 20, promptTokens: 200, completionTokens: 20 * 96 });
    expect(at.get('teach-external')).toMatchObject({ rows: 20, promptTokens: 200, completionTokens: 20 * 512 });
    // The template, x and y_sft in characters, and drafts of 96 tokens.
    expect(at.get('teach-improved')!.promptTokens).toBe(Math.ceil((promptTemplates.teach.text.length * 20 + 800 + 1600) / 4) + 20 * 96);
    expect(at.get('score-external')).toMatchObject({ rows: 20, promptTokens: 200 + 20 * 512, completionTokens: 0 });
    expect(at.get('eval-score-pi0')).toMatchObject({ rows: 5, promptTokens: 50 + 101 });
    expect(at.get('generate-yplus-r1')!.promptTokens).toBe(Math.ceil((promptTemplates.refine.text.length * 30 + 1200 + 2400) / 4) + 30 * 96);
  });

  it('counts what trainings learn from, over all epochs', () => {
    const at = steps();
    const train = promptTemplates.train.text.length * 20 + 800;
    expect(at.get('train-improver')).toMatchObject({ rows: 40, promptTokens: 3 * 2 * (Math.ceil(train / 4) + 20 * 96), completionTokens: 3 * 2 * 20 * 512 });
    expect(at.get('dpo-r1')).toMatchObject({ rows: 30, promptTokens: 2 * 300, completionTokens: 2 * 30 * 96 });
    expect(steps({ recipe: presets.spin.options, preset: 'spin' }).get('dpo-r1')).toMatchObject({ rows: 30, completionTokens: 600 + 30 * 96 });
    expect(steps({ recipe: presets.dpo.options, preset: 'dpo', data: { ...sampleSpec().data, preferences: sampleSource('d') } }).get('dpo-r1')).toMatchObject({ rows: 40, promptTokens: 800, completionTokens: 800 + 500 });
    const withSft = steps({ data: { ...sampleSpec().data, sft: sampleSource('s') } });
    expect(withSft.get('train-sft')).toMatchObject({ rows: 10, promptTokens: 100, completionTokens: 1000 });
  });

  it('adds replayed rows to the training set of the improver', () => {
    const at = steps({ rules: { ...sampleSpec().rules, replay: 0.2 } });
    expect(at.get('build-sft')!.rows).toBe(50);
    expect(at.get('train-improver')!.completionTokens).toBe(3 * (2 * 20 * 512 + 10 * 96));
  });

  it('tells what the teacher costs, or why it cannot', () => {
    expect(estimate().teacher).toMatchObject({ calls: 40, completionTokens: 2 * 20 * 512, cost: null, reason: 'no price is known for "teacher" at that address; give teacher.price' });
    const priced = { ...sampleSpec().teacher!, price: { promptPerMillion: 0, completionPerMillion: 100 } };
    expect(estimate({ teacher: priced }).teacher).toMatchObject({ cost: 2 * 20 * 512 * 100 / 1e6, reason: null });
    expect(estimate({ teacher: { ...priced, mode: 'batch' } })).toMatchObject({ teacher: { cost: 20 * 512 * 100 / 1e6 }, assumptions: expect.arrayContaining(['The cost is that of the Batch API.']) });
    expect(estimate({ teacher: { ...sampleSpec().teacher!, source: 'policy', baseUrl: null, model: null } }).teacher).toBeNull();
    expect(estimate({ preset: 'spin', recipe: presets.spin.options, teacher: null }).teacher).toBeNull();
  });

  it('takes seconds from past rates, and names the kinds that have none', () => {
    const rates: Rate[] = [{ kind: 'generate', rows: 100, seconds: 50 }, { kind: 'teach', rows: 10, seconds: 20 }, { kind: 'score', rows: 0, seconds: 0 }];
    const { worker, steps: all } = estimate({ data: { ...sampleSpec().data, heldOut: null } }, rates);
    const seconds = (key: string) => all.find((step) => step.key === key)!.seconds;
    expect([seconds('generate-y0'), seconds('teach-external'), seconds('score-external'), seconds('dpo-r1')]).toEqual([10, 40, null, null]);
    // y₀ of 20 rows, y and y⁺ of 30 each; what the teacher takes is not the worker's.
    expect(worker).toEqual({ seconds: 40, unknown: ['score', 'sft', 'dpo'] });
    expect(estimate().worker.seconds).toBeNull();
  });
});

describe('the size of a set', () => {
  it('is what its rows hold, by side', () => {
    const measure = createSetMeasure(2);
    measure.add(answerRow('a', '12345', '123'));
    measure.add({ kind: 'conversation', id: 'b', pos: 1, flags: [], messages: [{ role: 'system', content: '1' }, { role: 'user', content: '22' }, { role: 'assistant', content: '4444' }] });
    measure.add({ kind: 'pair', id: 'c', pos: 2, flags: [], prompt: [{ role: 'user', content: '7777777' }], chosen: '12', rejected: '1', scores: null });
    expect(measure.size()).toEqual({ rows: 3, characters: { prompt: 5 + 3 + 7, answer: 3 + 4 + 2, rejected: 1 } });
    expect(measure.head().map(({ id }) => id)).toEqual(['a', 'b']);
  });
});

describe('prompts before a run', () => {
  const heads = { improver: [answerRow('a', 'Q [1]?', 'R')], policy: [answerRow('b', 'Q2', '{{draft as draft}}')], heldOut: [answerRow('c', 'Q3', 'R3')] };
  const shown = (change: Partial<RunSpec> = {}) => showPrompts(compileRun(sampleSpec(change)), heads);

  it('are one a template and set, as the run fills them', () => {
    expect(shown().map(({ prompt, step, rows }) => [prompt, step, rows.map(({ id }) => id)])).toEqual([
      ['plain', 'generate-y0', ['a']], ['teach', 'teach-improved', ['a']], ['train', 'build-sft', ['a']], ['plain', 'generate-y-r1', ['b']], ['refine', 'generate-yplus-r1', ['b']], ['plain', 'eval-generate-pi0', ['c']],
    ]);
    expect(shown({ preset: 'sgpo-all-ref', recipe: presets['sgpo-all-ref'].options }).map(({ prompt }) => prompt)).toContain('train-with-reference');
    expect(shown({ preset: 'sgpo-no-ref', recipe: presets['sgpo-no-ref'].options }).map(({ prompt }) => prompt)).toContain('refine-without-reference');
  });

  it('have a mark where the run puts an answer, which is told', () => {
    const [plain, teach, , , refine] = shown();
    expect(plain).toMatchObject({ placeholders: [], rows: [{ messages: heads.improver[0]!.kind === 'answer' ? heads.improver[0]!.prompt : [] }] });
    expect(teach!.rows[0]!.messages).toEqual(fillPrompt('teach', { prompt: [{ role: 'user', content: 'Q [1]?' }], reference: 'R', draft: '‹y₀: sampled by the run›' }));
    expect(teach!.placeholders[0]).toBe('draft: ‹y₀: sampled by the run›');
    expect(refine!.rows[0]!.messages[0]!.content).toContain('‹y: sampled by the run›');
    expect(refine!.rows[0]!.messages[0]!.content).toContain('{{draft as draft}}');
  });
});
