import { describe, expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import type { Plan, StepKind, StepPlanOf } from './plan.ts';
import { promptTemplates } from './prompts.ts';
import { presetNames } from './recipes.ts';
import type { PresetName } from './recipes.ts';
import type { RunSpec } from './spec.ts';
import { presetSpec, sampleSource, sampleSpec } from './testing/sample-spec.ts';

function stepOf<Kind extends StepKind>(plan: Plan, key: string, kind: Kind): StepPlanOf<Kind> {
  const step = plan.steps.find((of) => of.key === key);
  if (step?.kind !== kind) throw new Error(`no step ${key} of kind ${kind}`);
  return step as StepPlanOf<Kind>;
}
const keys = (plan: Plan): string[] => plan.steps.map(({ key }) => key);

/** A round of a recipe: whose answers are rejected, whose refinements are chosen, where the training starts and what it compares with. Models by their names. */
interface ExpectedRound { readonly y: string | null; readonly refiner: string | null; readonly start: string; readonly reference: string }
/** A row of the method's table. null: the recipe has no such thing. */
interface ExpectedRecipe {
  readonly models: readonly string[];
  readonly targets: readonly ('improved' | 'external')[] | null;
  readonly referenceInTraining: boolean | null;
  readonly referenceInRefining: boolean | null;
  readonly chosen: 'refined' | 'reference' | 'given' | null;
  readonly rejected: 'sampled' | 'given' | null;
  readonly rounds: readonly ExpectedRound[];
}

const onImprover: ExpectedRound = { y: 'improver', refiner: 'improver', start: 'improver', reference: 'improver' };
const separate: ExpectedRound = { y: 'pi0', refiner: 'improver', start: 'pi0', reference: 'pi0' };
const sgpo: ExpectedRecipe = {
  models: ['pi0', 'improver', 'round1'], targets: ['improved', 'external'], referenceInTraining: false, referenceInRefining: true, chosen: 'refined', rejected: 'sampled', rounds: [onImprover],
};
const noImprover = { models: ['pi0', 'round1'], targets: null, referenceInTraining: null, referenceInRefining: null } as const;

const table: Readonly<Record<PresetName, ExpectedRecipe>> = {
  'sft': { ...noImprover, models: ['base', 'pi0'], chosen: null, rejected: null, rounds: [] },
  'dpo': { ...noImprover, chosen: 'given', rejected: 'given', rounds: [{ y: null, refiner: null, start: 'pi0', reference: 'pi0' }] },
  'spin': { ...noImprover, chosen: 'reference', rejected: 'sampled', rounds: [{ y: 'pi0', refiner: null, start: 'pi0', reference: 'pi0' }] },
  'sgpo': sgpo,
  'sgpo+step2': { ...sgpo, models: ['pi0', 'improver', 'round1', 'round2'], rounds: [onImprover, { y: 'round1', refiner: 'round1', start: 'round1', reference: 'round1' }] },
  'sgpo-separate': { ...sgpo, rounds: [separate] },
  'sgpo-external': { ...sgpo, targets: ['external'], rounds: [separate] },
  'sgpo-v2': { ...sgpo, targets: ['external'] },
  'sgpo-offpolicy': { ...sgpo, referenceInRefining: null, chosen: 'reference', rounds: [{ ...onImprover, refiner: null }] },
  'sgpo-all-ref': { ...sgpo, referenceInTraining: true },
  'sgpo-no-ref': { ...sgpo, referenceInRefining: false },
};

/** What a plan does, read off its steps alone. */
function describeRecipe(plan: Plan): ExpectedRecipe {
  const nameOf = (key: string | undefined): string | null => plan.models.find(({ step }) => step === key)?.name ?? null;
  const generated = (key: string | undefined) => (key === undefined ? null : stepOf(plan, key, 'generate'));
  const training = plan.steps.find(({ kind }) => kind === 'build-sft');
  const pairs = plan.steps.filter((step) => step.kind === 'pair');
  const usesReference = (prompt: StepPlanOf<'generate'>['parameters']['prompt']): boolean => prompt !== 'plain' && promptTemplates[prompt].slots.includes('reference');
  const refinements = pairs.flatMap(({ inputs }) => generated(inputs['chosen']) ?? []);
  return {
    models: plan.models.map(({ name }) => name),
    targets: training === undefined ? null : (['improved', 'external'] as const).filter((target) => target in training.inputs),
    referenceInTraining: training?.kind === 'build-sft' ? usesReference(training.parameters.prompt) : null,
    referenceInRefining: refinements[0] === undefined ? null : refinements.every(({ parameters }) => usesReference(parameters.prompt)),
    chosen: pairs[0]?.parameters.chosen ?? null,
    rejected: pairs[0]?.parameters.rejected ?? null,
    rounds: plan.steps.filter((step) => step.kind === 'dpo').map(({ inputs }) => {
      const pair = stepOf(plan, inputs['dataset'] ?? '', 'pair');
      return {
        y: nameOf(generated(pair.inputs['rejected'])?.inputs['model']), refiner: nameOf(generated(pair.inputs['chosen'])?.inputs['model']),
        start: nameOf(inputs['policy']) ?? '', reference: nameOf(inputs['reference']) ?? '',
      };
    }),
  };
}

describe('each preset does what the paper\'s row does', () => {
  it.each(presetNames)('%s', (preset) => { expect(describeRecipe(compileRun(presetSpec(preset)))).toEqual(table[preset]); });

  it.each(presetNames.filter((name) => table[name].targets !== null))('%s: y₀ and perplexities are those of π₀, and each target asks its own way', (preset) => {
    const plan = compileRun(presetSpec(preset));
    const pi0 = plan.models[0]?.step;
    expect(stepOf(plan, 'generate-y0', 'generate')).toMatchObject({ inputs: { rows: 'ingest-improver', model: pi0 }, parameters: { prompt: 'plain' } });
    for (const target of table[preset].targets ?? []) {
      expect(stepOf(plan, `score-${target}`, 'score')).toMatchObject({ inputs: { model: pi0, answers: `teach-${target}` }, parameters: { of: 'answers', chrf: false } });
      expect(stepOf(plan, `teach-${target}`, 'teach').parameters.prompt).toBe(target === 'improved' ? 'teach' : 'plain');
      expect('draft' in stepOf(plan, `teach-${target}`, 'teach').inputs).toBe(target === 'improved');
      expect(stepOf(plan, 'filter', 'filter').inputs[target]).toBe(`score-${target}`);
    }
    expect(stepOf(plan, 'train-improver', 'sft').inputs).toEqual({ model: pi0, dataset: 'build-sft' });
  });

  it.each(presetNames.filter((name) => table[name].rejected === 'sampled'))('%s: y and y⁺ are of the same prompts, and y⁺ refines y', (preset) => {
    const plan = compileRun(presetSpec(preset));
    for (const { inputs } of plan.steps.filter(({ kind }) => kind === 'pair')) {
      const y = stepOf(plan, inputs['rejected'] ?? '', 'generate');
      expect([inputs['rows'], y.inputs['rows'], y.parameters.prompt]).toEqual(['ingest-policy', 'ingest-policy', 'plain']);
      if (inputs['chosen'] !== undefined) expect(stepOf(plan, inputs['chosen'], 'generate').inputs).toMatchObject({ rows: 'ingest-policy', draft: inputs['rejected'] });
    }
  });

  it('measures every model but a base on the held-out prompts', () => {
    for (const preset of presetNames) {
      const plan = compileRun(presetSpec(preset));
      expect(plan.steps.flatMap((step) => (step.kind === 'measure' ? [step.parameters.model] : []))).toEqual(table[preset].models.filter((name) => name !== 'base'));
    }
  });

  it('compiles equal specs to equal plans', () => {
    for (const preset of presetNames) expect(compileRun(structuredClone(presetSpec(preset)))).toEqual(compileRun(presetSpec(preset)));
  });
});

describe('rounds', () => {
  const withRounds = (preset: PresetName, rounds: number, preference: Partial<RunSpec['preference']> = {}) => {
    const spec = presetSpec(preset);
    return describeRecipe(compileRun({ ...spec, recipe: { ...spec.recipe, rounds }, preference: { ...spec.preference, ...preference } }));
  };
  it('spin plays against the model of the round before', () => {
    expect(withRounds('spin', 3).rounds).toEqual(['pi0', 'round1', 'round2'].map((model) => ({ y: model, refiner: null, start: model, reference: model })));
  });
  it('+Step 2 goes on with one model as policy and improver, any number of times', () => {
    expect(withRounds('sgpo', 3).rounds).toEqual(['improver', 'round1', 'round2'].map((model) => ({ y: model, refiner: model, start: model, reference: model })));
  });
  it('a separate improver stays what it was', () => {
    expect(withRounds('sgpo-separate', 2).rounds).toEqual(['pi0', 'round1'].map((model) => ({ y: model, refiner: 'improver', start: model, reference: model })));
  });
  it('reference initial is π₀ in every round', () => {
    expect(withRounds('sgpo', 2, { reference: 'initial' }).rounds.map(({ start, reference }) => [start, reference])).toEqual([['improver', 'pi0'], ['round1', 'pi0']]);
    expect(withRounds('spin', 2, { reference: 'initial' }).rounds.map(({ reference }) => reference)).toEqual(['pi0', 'pi0']);
  });
  it('a trainer without a reference gets none', () => {
    const spec = presetSpec('spin');
    const plan = compileRun({ ...spec, preference: { ...spec.preference, trainer: 'cpo', loss: ['simpo'] } });
    expect(stepOf(plan, 'dpo-r1', 'dpo').inputs).toEqual({ policy: 'import-model', dataset: 'pair-r1' });
  });
  it('seeds of trainings differ from each other, and follow the run\'s', () => {
    const seeds = (seed: number) => compileRun(presetSpec('sgpo+step2', { seed })).steps.flatMap((step) => (step.kind === 'sft' || step.kind === 'dpo' || step.kind === 'build-sft' ? [step.parameters.seed] : []));
    expect(new Set(seeds(7)).size).toBe(4);
    expect(seeds(8)).toEqual(seeds(7).map((seed) => seed + 1));
  });
});

describe('improver kept', () => {
  it('refines with the model the run starts from, and teaches nobody', () => {
    const spec = presetSpec('spin');
    const plan = compileRun({ ...spec, recipe: { ...spec.recipe, improver: 'kept', chosen: 'refined', referenceInRefining: true, rounds: 2 } });
    expect(describeRecipe(plan)).toEqual({
      models: ['pi0', 'round1', 'round2'], targets: null, referenceInTraining: null, referenceInRefining: true, chosen: 'refined', rejected: 'sampled',
      rounds: ['pi0', 'round1'].map((model) => ({ y: model, refiner: model, start: model, reference: model })),
    });
    expect(keys(plan)).not.toContain('ingest-improver');
  });
});

describe('Step 0', () => {
  it('stands before any preset, and makes the π₀ that all else takes', () => {
    for (const preset of presetNames) {
      const spec = presetSpec(preset);
      const plan = compileRun({ ...spec, data: { ...spec.data, sft: sampleSource('conversations.jsonl') } });
      expect(plan.models.slice(0, 2)).toEqual([{ name: 'base', title: 'base model', step: 'import-model' }, { name: 'pi0', title: 'π₀', step: 'train-sft' }]);
      expect(describeRecipe(plan)).toEqual({ ...table[preset], models: ['base', ...table[preset].models.filter((name) => name !== 'base')] });
      expect(plan.steps.filter(({ inputs }) => Object.entries(inputs).some(([role, key]) => key === 'import-model' && role !== 'import-model')).map(({ key }) => key)).toEqual(['train-sft']);
    }
  });
  it('asks for the model\'s own chat template only where it is to be used', () => {
    const plan = (chatTemplate: RunSpec['sftTraining']['chatTemplate']) => compileRun({ ...presetSpec('sft'), sftTraining: { ...sampleSpec().sftTraining, chatTemplate } });
    for (const [template, sent, needed] of [['own', '', true], ['auto', 'auto', false], ['chatml', 'chatml', false], ['plain', 'plain', false]] as const) {
      expect(stepOf(plan(template), 'train-sft', 'sft').parameters.chatTemplate).toBe(sent);
      expect(stepOf(plan(template), 'import-model', 'import-model').parameters.needsChatTemplate).toBe(needed);
    }
    expect(stepOf(compileRun(sampleSpec()), 'import-model', 'import-model').parameters.needsChatTemplate).toBe(true);
  });
});

describe('data sets', () => {
  it('each is compared with the held-out prompts, and the policy set with the improver set', () => {
    const plan = compileRun({ ...presetSpec('sgpo'), data: { ...presetSpec('sgpo').data, sft: sampleSource('conversations.jsonl') } });
    expect(stepOf(plan, 'ingest-heldout', 'ingest').inputs).toEqual({});
    expect(stepOf(plan, 'ingest-sft', 'ingest').inputs).toEqual({ heldOut: 'ingest-heldout' });
    expect(stepOf(plan, 'ingest-improver', 'ingest').inputs).toEqual({ heldOut: 'ingest-heldout' });
    expect(stepOf(plan, 'ingest-policy', 'ingest').inputs).toEqual({ heldOut: 'ingest-heldout', improver: 'ingest-improver' });
    expect(stepOf(compileRun(presetSpec('dpo')), 'ingest-preferences', 'ingest').inputs).toEqual({ heldOut: 'ingest-heldout' });
  });
  it('without a held-out set there is nothing to compare with and nothing to measure', () => {
    const spec = presetSpec('sgpo');
    const plan = compileRun({ ...spec, data: { ...spec.data, heldOut: null } });
    expect(stepOf(plan, 'ingest-policy', 'ingest').inputs).toEqual({ improver: 'ingest-improver' });
    expect(keys(plan).filter((key) => key.startsWith('eval-'))).toEqual([]);
  });
});

describe('teachers without an endpoint', () => {
  const planOf = (source: 'fleet' | 'policy') => compileRun({
    ...presetSpec('sgpo'), teacher: { ...sampleSpec().teacher!, source, baseUrl: null, model: null, temperature: 0.3, topP: 0.8, maxTokens: 99, weights: source === 'fleet' ? { path: '/models/big', artifact: null, from: null } : null },
  });
  it('fleet: given weights, sampled by the workers as a teacher is asked', () => {
    const plan = planOf('fleet');
    expect(stepOf(plan, 'import-teacher', 'import-model').parameters).toEqual({ model: { path: '/models/big', artifact: null, from: null }, needsChatTemplate: true });
    expect(stepOf(plan, 'teach-improved', 'generate')).toMatchObject({
      inputs: { rows: 'ingest-improver', draft: 'generate-y0', model: 'import-teacher' }, parameters: { prompt: 'teach', sampling: { temperature: 0.3, topP: 0.8, maxNewTokens: 99, maxLength: 2_048 }, sampleIndex: 0 },
    });
    expect(stepOf(plan, 'teach-external', 'generate')).toMatchObject({ inputs: { rows: 'ingest-improver', model: 'import-teacher' }, parameters: { prompt: 'plain' } });
    expect(plan.models.map(({ name }) => name)).toEqual(['pi0', 'improver', 'round1']);
  });
  it('policy: π₀ itself, and another sample than y₀', () => {
    const plan = planOf('policy');
    expect(keys(plan)).not.toContain('import-teacher');
    expect(stepOf(plan, 'teach-external', 'generate')).toMatchObject({ inputs: { model: 'import-model' }, parameters: { sampleIndex: 1 } });
    expect(stepOf(plan, 'generate-y0', 'generate').parameters.sampleIndex).toBe(0);
  });
  it('all else is as with an endpoint', () => {
    for (const source of ['fleet', 'policy'] as const) expect(describeRecipe(planOf(source))).toEqual(table.sgpo);
  });
});

describe('a preview', () => {
  const rows = 6;
  it.each(presetNames)('%s: trains nothing, takes whole blocks, and ends with its own step', (preset) => {
    const plan = compileRun({ ...presetSpec(preset), preview: { rows } });
    expect(plan.steps.filter(({ kind }) => kind === 'sft' || kind === 'dpo' || kind === 'report' || kind === 'measure')).toEqual([]);
    expect(plan.steps.at(-1)).toMatchObject({ key: 'preview', parameters: { rows } });
    expect(Object.keys(plan.steps.at(-1)?.inputs ?? {})).toEqual(keys(plan).slice(0, -1));
    for (const step of plan.steps) if (step.kind === 'ingest' && step.parameters.space !== 'heldOut') expect(step.parameters.source.limit).toBe(8);
    expect(plan.models.map(({ name }) => name)).toEqual(['pi0']);
  });
  it('asks as the run will, so that the run finds the answers', () => {
    const [run, preview] = [compileRun(presetSpec('sgpo')), compileRun({ ...presetSpec('sgpo'), preview: { rows } })];
    for (const key of ['generate-y0', 'teach-improved', 'teach-external', 'score-improved', 'score-external']) {
      expect(preview.steps.find((step) => step.key === key)).toEqual(run.steps.find((step) => step.key === key));
    }
  });
  it('π₀ stands in for the improver', () => {
    const plan = compileRun({ ...presetSpec('sgpo'), preview: { rows } });
    expect(stepOf(plan, 'generate-yplus-r1', 'generate')).toMatchObject({ inputs: { model: 'import-model', draft: 'generate-y-r1' }, parameters: { prompt: 'refine' } });
  });
  it('never takes more rows than the run would', () => {
    const spec = presetSpec('spin', { preview: { rows } });
    const plan = compileRun({ ...spec, data: { ...spec.data, policy: { ...sampleSource('p.jsonl'), limit: 3 } } });
    expect(stepOf(plan, 'ingest-policy', 'ingest').parameters.source.limit).toBe(3);
  });
});
