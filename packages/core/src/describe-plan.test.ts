import { describe, expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import { describePlan, type PlanDescription, type StepDescription } from './describe-plan.ts';
import { presetNames, presetOf, trainsImprover, usesGivenPairs, usesPolicyData, type PresetName } from './recipes.ts';
import type { RunSpec } from './spec.ts';
import { sampleSource, sampleSpec } from './testing/sample-spec.ts';

const specOf = (preset: PresetName, change: (spec: RunSpec) => Partial<RunSpec> = () => ({})): RunSpec => {
  const recipe = presetOf(preset).options;
  const { data, teacher, ...rest } = sampleSpec();
  const spec = {
    ...rest, preset, recipe, teacher: trainsImprover(recipe) ? teacher : null,
    data: {
      ...data, sft: recipe.rounds === 0 ? sampleSource('conversations.jsonl') : null, improver: trainsImprover(recipe) ? data.improver : null,
      policy: usesPolicyData(recipe) ? data.policy : null, preferences: usesGivenPairs(recipe) ? sampleSource('pairs.jsonl') : null,
    },
  };
  return { ...spec, ...change(spec) };
};
const describeRun = (spec: RunSpec): PlanDescription => describePlan(compileRun(spec), spec);
const stepOf = (plan: PlanDescription, key: string): StepDescription => plan.steps.find((step) => step.key === key)!;

/** Section 3 of the method: policy, reference, chosen and rejected of each preference training; step of the model in brackets. */
const table: Readonly<Record<PresetName, readonly string[]>> = {
  'sft': [],
  'dpo': ['import-model ref import-model: given ingest-preferences.chosen (–) > given ingest-preferences.rejected (–)'],
  'spin': ['import-model ref import-model: reference ingest-policy.response (–) > sampled generate-y-r1.text (import-model)'],
  'sgpo': ['train-improver ref train-improver: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (train-improver)'],
  'sgpo+step2': [
    'train-improver ref train-improver: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (train-improver)',
    'dpo-r1 ref dpo-r1: refined generate-yplus-r2.text (dpo-r1) > sampled generate-y-r2.text (dpo-r1)',
  ],
  'sgpo-separate': ['import-model ref import-model: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (import-model)'],
  'sgpo-external': ['import-model ref import-model: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (import-model)'],
  'sgpo-v2': ['train-improver ref train-improver: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (train-improver)'],
  'sgpo-offpolicy': ['train-improver ref train-improver: reference ingest-policy.response (–) > sampled generate-y-r1.text (train-improver)'],
  'sgpo-all-ref': ['train-improver ref train-improver: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (train-improver)'],
  'sgpo-no-ref': ['train-improver ref train-improver: refined generate-yplus-r1.text (train-improver) > sampled generate-y-r1.text (train-improver)'],
};

describe('a described plan', () => {
  it.each(presetNames)('%s: every input is an earlier step or named by the spec', (preset) => {
    const plan = describeRun(specOf(preset));
    expect(plan).toMatchObject({ preset, recipe: presetOf(preset).options });
    const known = new Set<string>();
    for (const { key, inputs, model, prompt } of plan.steps) {
      for (const input of Object.values(inputs)) if ('step' in input) expect(known, key).toContain(input.step);
      if (model !== null) expect(known, key).toContain(model);
      for (const column of Object.values(prompt?.columns ?? {})) expect(known, key).toContain(column.step);
      known.add(key);
    }
    expect(plan.models.every(({ step }) => known.has(step))).toBe(true);
  });

  it.each(presetNames)('%s: who wrote the two sides, and what the policy is compared with', (preset) => {
    const trainings = describeRun(specOf(preset)).steps.filter(({ kind }) => kind === 'dpo').map(({ policy, reference, chosen, rejected }) =>
      `${policy!} ref ${reference!}: ${[chosen!, rejected!].map(({ source, step, column, model }) => `${source} ${step}.${column} (${model ?? '–'})`).join(' > ')}`);
    expect(trainings).toEqual(table[preset]);
  });

  it.each([['sgpo', false, true], ['sgpo-all-ref', true, true], ['sgpo-no-ref', false, false]] as const)('%s: y_sft in p_train %s, in p_refine %s', (preset, inTraining, inRefining) => {
    const plan = describeRun(specOf(preset));
    const prompts = [stepOf(plan, 'build-sft').prompt!, stepOf(plan, 'generate-yplus-r1').prompt!];
    expect(prompts.map(({ symbol, columns }) => [symbol, 'reference' in columns])).toEqual([['p_train', inTraining], ['p_refine', inRefining]]);
    expect(prompts[1]!.columns).toMatchObject({ prompt: { step: 'ingest-policy', column: 'prompt' }, draft: { step: 'generate-y-r1', column: 'text' } });
    expect(prompts.map(({ text }) => text!.includes('{{reference as'))).toEqual([inTraining, inRefining]);
  });

  it('tells the teacher prompt, the plain one, and where rows and weights come from', () => {
    const plan = describeRun(specOf('sgpo'));
    expect(stepOf(plan, 'teach-improved').prompt).toMatchObject({
      template: 'teach', symbol: 'p_ref',
      columns: { prompt: { step: 'ingest-improver', column: 'prompt' }, reference: { step: 'ingest-improver', column: 'response' }, draft: { step: 'generate-y0', column: 'text' } },
    });
    expect(stepOf(plan, 'teach-external').prompt).toEqual({ template: 'plain', symbol: 'x', text: null, columns: { prompt: { step: 'ingest-improver', column: 'prompt' } } });
    expect(stepOf(plan, 'ingest-policy').inputs).toMatchObject({
      source: { dataset: { field: 'data.policy', path: 'policy.jsonl' } }, heldOut: { step: 'ingest-heldout' }, improver: { step: 'ingest-improver' },
    });
    expect(stepOf(plan, 'import-model').inputs).toEqual({ source: { weights: { path: '/models/base' } } });
    expect(stepOf(plan, 'generate-y0').parameters).toMatchObject({ sampling: { temperature: 0.7 }, seed: 7 });
  });

  it('has no reference where the trainer has none, and π₀ where every round is compared with it', () => {
    const rounds = (change: Partial<RunSpec['preference']>): readonly (string | null | undefined)[] =>
      describeRun(specOf('sgpo+step2', (spec) => ({ preference: { ...spec.preference, ...change } }))).steps.filter(({ kind }) => kind === 'dpo').map(({ reference }) => reference);
    expect(rounds({ trainer: 'cpo', loss: ['simpo'] })).toEqual([null, null]);
    expect(rounds({ reference: 'initial' })).toEqual(['import-model', 'import-model']);
  });

  it('of a preview has no training', () => {
    const kinds = describeRun(specOf('sgpo', () => ({ preview: { rows: 4 } }))).steps.map(({ kind }) => kind);
    expect(kinds).not.toContain('sft');
    expect(kinds).not.toContain('dpo');
  });
});
