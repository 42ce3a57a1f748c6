import { addImprovedTargets, type TeachInputs } from './compile-teaching.ts';
import { trainerTraits } from './losses.ts';
import { createPlanBuilder, type PlanBuilder } from './plan-builder.ts';
import type { Plan, PromptName } from './plan.ts';
import { promptHash } from './prompts.ts';
import { trainsImprover, usesGivenPairs, usesPolicyData } from './recipes.ts';
import type { RunSpec, SamplingOptions } from './spec.ts';

/**
 * Turns a spec into its plan. Pure: equal specs give equal plans.
 * Presets do not appear here; only the options they stand for do (Algorithm of Section 3, arXiv 2507.20181).
 */
export function compileRun(spec: RunSpec): Plan {
  const builder = createPlanBuilder(spec);
  const heldOut = spec.data.heldOut === null ? null : builder.ingest('heldOut', {});
  const pi0 = addInitialPolicy(spec, builder, heldOut);
  if (spec.preview === null) addMethod(spec, builder, { pi0, heldOut });
  else addPreview(spec, builder, { pi0, heldOut, rows: spec.preview.rows });
  return builder.result();
}

const against = (heldOut: string | null): Readonly<Record<string, string>> => (heldOut === null ? {} : { heldOut });

/** π₀: the model as it is, or after Step 0 on conversations. A preview trains nothing: it takes the model as it is. */
function addInitialPolicy(spec: RunSpec, builder: PlanBuilder, heldOut: string | null): string {
  const trained = spec.data.sft !== null && spec.preview === null;
  const model = builder.add({
    key: 'import-model', kind: 'import-model', title: trained ? 'base model' : 'initial policy π₀', space: null, inputs: {},
    parameters: { model: spec.model, needsChatTemplate: !trained || spec.sftTraining.chatTemplate === 'own' },
  });
  if (!trained) return builder.model({ name: 'pi0', title: 'π₀', step: model });
  const { chatTemplate, ...training } = spec.sftTraining;
  // A model without a template cannot be asked: the base is listed all the same, as what the run began with.
  builder.model({ name: 'base', title: 'base model', step: model });
  return builder.model({
    name: 'pi0', title: 'π₀',
    step: builder.add({
      key: 'train-sft', kind: 'sft', title: 'Step 0: SFT on conversations → π₀', space: null, inputs: { model, dataset: builder.ingest('sft', against(heldOut)) },
      parameters: { training, chatTemplate: chatTemplate === 'own' ? '' : chatTemplate, seed: builder.seedOf('train-sft') },
    }),
  });
}

function addMethod(spec: RunSpec, builder: PlanBuilder, { pi0, heldOut }: { readonly pi0: string; readonly heldOut: string | null }): void {
  const { recipe } = spec;
  const dImp = trainsImprover(recipe) ? builder.ingest('improver', against(heldOut)) : null;
  const dPol = usesPolicyData(recipe) ? builder.ingest('policy', { ...against(heldOut), ...(dImp === null ? {} : { improver: dImp }) }) : null;
  const given = usesGivenPairs(recipe) ? builder.ingest('preferences', against(heldOut)) : null;

  const improver = dImp === null ? null : addImprover(spec, builder, { rows: dImp, pi0 });
  let policy = improver !== null && recipe.improver === 'shared' ? improver : pi0;
  for (let round = 1; round <= recipe.rounds; round += 1) {
    const refiner = recipe.improver === 'separate' ? improver : policy;
    const rows = given ?? dPol;
    if (rows === null) throw new TypeError('no rows to make pairs of: specs are checked before they are compiled');
    const pairs = given === null ? addSampledPairs(spec, builder, { round, rows, policy, refiner: refiner ?? policy }) : addGivenPairs(spec, builder, { round, rows });
    policy = addPreferenceTraining(spec, builder, { round, policy, pi0, pairs });
  }
  if (heldOut !== null) addEvaluation(spec, builder, heldOut);
  const inputs = Object.fromEntries(builder.result().steps.map(({ key }) => [key, key]));
  builder.add({ key: 'report', kind: 'report', title: 'report', space: null, inputs, parameters: {} });
}

/** Step 1: y₀, targets, filter, training set, training. */
function addImprover(spec: RunSpec, builder: PlanBuilder, { rows, pi0 }: { readonly rows: string; readonly pi0: string }): string {
  const dataset = addImproverSet(spec, builder, addImprovedTargets(spec, builder, { rows, pi0 }));
  return builder.model({
    name: 'improver', title: 'π* (improver)',
    step: builder.add({
      key: 'train-improver', kind: 'sft', title: 'improver training → π*', space: null, inputs: { model: pi0, dataset },
      parameters: { training: spec.improverTraining, chatTemplate: '', seed: builder.seedOf('train-improver') },
    }),
  });
}

function addImproverSet(spec: RunSpec, builder: PlanBuilder, { rows, draft, answers, scores }: TeachInputs): string {
  const filter = builder.add({ key: 'filter', kind: 'filter', title: 'perplexity filter', space: null, inputs: scores, parameters: spec.filter });
  const prompt: PromptName = spec.recipe.referenceInTraining ? 'train-with-reference' : 'train';
  return builder.add({
    key: 'build-sft', kind: 'build-sft', title: 'improver training set', space: null, inputs: { rows, draft, filter, ...answers },
    parameters: { prompt, promptHash: promptHash(prompt), rules: spec.rules, seed: builder.seedOf('build-sft') },
  });
}

interface SampledPairs { readonly round: number; readonly rows: string; readonly policy: string; readonly refiner: string }

/** y ~ policy is rejected; y⁺ ~ improver, or y_sft, is chosen. */
function addSampledPairs(spec: RunSpec, builder: PlanBuilder, { round, rows, policy, refiner }: SampledPairs): string {
  const { recipe, rules } = spec;
  const rejected = builder.generate({ key: `generate-y-r${String(round)}`, title: 'y from the policy', space: 'policy', prompt: 'plain', inputs: { rows, model: policy } });
  const chosen = recipe.chosen !== 'refined' ? {} : {
    chosen: builder.generate({
      key: `generate-yplus-r${String(round)}`, title: 'y⁺ from the improver', space: 'policy', prompt: recipe.referenceInRefining ? 'refine' : 'refine-without-reference',
      inputs: { rows, model: refiner, draft: rejected },
    }),
  };
  return builder.add({
    key: `pair-r${String(round)}`, kind: 'pair', title: 'preference pairs', space: null, inputs: { rows, rejected, ...chosen },
    parameters: { chosen: recipe.chosen, rejected: 'sampled', rules },
  });
}

function addGivenPairs(spec: RunSpec, builder: PlanBuilder, { round, rows }: { readonly round: number; readonly rows: string }): string {
  return builder.add({
    key: `pair-r${String(round)}`, kind: 'pair', title: 'given preference pairs', space: null, inputs: { rows }, parameters: { chosen: 'given', rejected: 'given', rules: spec.rules },
  });
}

interface PreferenceRound { readonly round: number; readonly policy: string; readonly pi0: string; readonly pairs: string }

function addPreferenceTraining(spec: RunSpec, builder: PlanBuilder, { round, policy, pi0, pairs }: PreferenceRound): string {
  const key = `dpo-r${String(round)}`;
  const reference = trainerTraits[spec.preference.trainer].reference ? { reference: spec.preference.reference === 'initial' ? pi0 : policy } : {};
  return builder.model({
    name: `round${String(round)}`, title: `after round ${String(round)}`,
    step: builder.add({
      key, kind: 'dpo', title: `preference optimisation, round ${String(round)}`, space: null, inputs: { policy, ...reference, dataset: pairs },
      parameters: { preference: spec.preference, seed: builder.seedOf(key) },
    }),
  });
}

/** Answers of every model to the held-out prompts, and the perplexity of the references under it. */
function addEvaluation(spec: RunSpec, builder: PlanBuilder, rows: string): void {
  const sampling: SamplingOptions = { ...spec.sampling, ...spec.evaluation };
  for (const { name, step: model } of builder.result().models) {
    if (name === 'base') continue;
    const answers = builder.generate({ key: `eval-generate-${name}`, title: `held-out answers of ${name}`, space: 'heldOut', prompt: 'plain', inputs: { rows, model }, sampling });
    const scores = builder.score({ key: `eval-score-${name}`, title: `held-out references under ${name}`, space: 'heldOut', inputs: { rows, model, answers }, of: 'reference' });
    builder.add({ key: `eval-measure-${name}`, kind: 'measure', title: `held-out measures of ${name}`, space: null, inputs: { answers, scores }, parameters: { model: name } });
  }
}

/**
 * The first rows through everything but training: π₀ stands in for the improver. What the run itself asks the same way (y₀, ŷ, y_ext and
 * their scores) it finds in the cache, because its first shard is one block too, and in the ledger.
 */
function addPreview(spec: RunSpec, builder: PlanBuilder, { pi0, heldOut, rows }: { readonly pi0: string; readonly heldOut: string | null; readonly rows: number }): void {
  const { recipe } = spec;
  const dImp = trainsImprover(recipe) ? builder.ingest('improver', against(heldOut)) : null;
  if (dImp !== null) addImproverSet(spec, builder, addImprovedTargets(spec, builder, { rows: dImp, pi0 }));
  if (usesPolicyData(recipe)) {
    const dPol = builder.ingest('policy', { ...against(heldOut), ...(dImp === null ? {} : { improver: dImp }) });
    addSampledPairs(spec, builder, { round: 1, rows: dPol, policy: pi0, refiner: pi0 });
  }
  if (usesGivenPairs(recipe)) addGivenPairs(spec, builder, { round: 1, rows: builder.ingest('preferences', against(heldOut)) });
  const inputs = Object.fromEntries(builder.result().steps.map(({ key }) => [key, key]));
  builder.add({ key: 'preview', kind: 'preview', title: 'preview', space: null, inputs, parameters: { rows } });
}
