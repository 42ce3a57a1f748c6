import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import { trainerNames, trainerTraits } from './losses.ts';
import type { LossName } from './losses.ts';
import type { StepKind } from './plan.ts';
import { trainsImprover, usesGivenPairs, usesPolicyData } from './recipes.ts';
import type { RecipeOptions, RunSpec } from './spec.ts';
import { sampleSource, sampleSpec } from './testing/sample-spec.ts';

const recipes: fc.Arbitrary<RecipeOptions> = fc.record({
  improver: fc.constantFrom('shared', 'separate', 'kept', 'none'), targets: fc.subarray(['improved', 'external'] as const), referenceInTraining: fc.boolean(), referenceInRefining: fc.boolean(),
  chosen: fc.constantFrom('refined', 'reference', 'given'), rejected: fc.constantFrom('sampled', 'given'), rounds: fc.nat(3),
});

/** Recipes that make sense: what is trained is used, and what is used is there. */
function makesSense(recipe: RecipeOptions, hasStep0: boolean): boolean {
  const { improver, targets, chosen, rejected, rounds } = recipe;
  const refines = chosen === 'refined' && rounds > 0;
  if ((chosen === 'given') !== (rejected === 'given')) return false;
  if (chosen === 'given' && improver !== 'none') return false;
  if (refines === (improver === 'none') && (refines || improver === 'separate' || improver === 'kept')) return false;
  if ((improver === 'separate' || improver === 'kept') && !refines) return false;
  if (trainsImprover(recipe) && targets.length === 0) return false;
  return rounds > 0 || trainsImprover(recipe) || hasStep0;
}

const specs: fc.Arbitrary<RunSpec> = fc.record({
  recipe: recipes, hasStep0: fc.boolean(), hasHeldOut: fc.boolean(), source: fc.constantFrom('endpoint', 'fleet', 'policy'), chatTemplate: fc.constantFrom('auto', 'own', 'chatml', 'llama3', 'plain'),
  trainer: fc.constantFrom(...trainerNames), reference: fc.constantFrom('round', 'initial'), preview: fc.option(fc.record({ rows: fc.integer({ min: 1, max: 100 }) })),
  factor: fc.option(fc.double({ min: 0, max: 10, noNaN: true })), replay: fc.double({ min: 0, max: 0.5, noNaN: true }),
}).filter(({ recipe, hasStep0 }) => makesSense(recipe, hasStep0)).map(({ recipe, hasStep0, hasHeldOut, source, chatTemplate, trainer, reference, preview, factor, replay }) => {
  const spec = sampleSpec();
  const teacher = source === 'endpoint' ? spec.teacher : { ...spec.teacher!, source, baseUrl: null, model: null, weights: source === 'fleet' ? { path: '/models/big', artifact: null, from: null } : null };
  return {
    ...spec, recipe, preview, teacher: trainsImprover(recipe) ? teacher : null, filter: { ...spec.filter, factor }, rules: { ...spec.rules, replay }, sftTraining: { ...spec.sftTraining, chatTemplate },
    preference: { ...spec.preference, trainer, loss: [Object.keys(trainerTraits[trainer].losses)[0] as LossName], reference },
    data: {
      ...spec.data, sft: hasStep0 ? sampleSource('sft.jsonl') : null, heldOut: hasHeldOut ? spec.data.heldOut : null, improver: trainsImprover(recipe) ? spec.data.improver : null,
      policy: usesPolicyData(recipe) ? spec.data.policy : null, preferences: usesGivenPairs(recipe) ? sampleSource('pairs.jsonl') : null,
    },
  };
});

/** Roles that a step of each kind cannot do without. */
const roles: Readonly<Record<StepKind, readonly string[]>> = {
  'import-model': [], 'ingest': [], 'generate': ['rows', 'model'], 'teach': ['rows'], 'score': ['rows', 'model'], 'filter': [], 'build-sft': ['rows', 'draft', 'filter'], 'sft': ['model', 'dataset'],
  'pair': ['rows'], 'dpo': ['policy', 'dataset'], 'measure': ['answers', 'scores'], 'preview': [], 'report': [],
};

it('compileRun is total over every recipe that makes sense, and its plans hold together', () => {
  const met = { steps: new Set<StepKind>(), improvers: new Set<string>() };
  fc.assert(fc.property(specs, (spec) => {
    const plan = compileRun(spec);
    const known = new Map<string, StepKind>();
    for (const { key, kind, inputs, space } of plan.steps) {
      expect(known.has(key), `two steps ${key}`).toBe(false);
      for (const [role, source] of Object.entries(inputs)) expect(known.has(source), `${key}: ${role} is ${source}, which is no earlier step`).toBe(true);
      for (const role of roles[kind]) expect(inputs[role], `${key} needs ${role}`).toBeDefined();
      for (const role of ['model', 'policy', 'reference']) if (inputs[role] !== undefined) expect(['import-model', 'sft', 'dpo'], `${key}: ${role}`).toContain(known.get(inputs[role]));
      // Rows and what was made of them have one space: answers are never joined with rows of another set.
      for (const role of ['rows', 'draft', 'answers']) if (space !== null && inputs[role] !== undefined) expect(plan.steps.find((step) => step.key === inputs[role])?.space).toBe(space);
      known.set(key, kind);
      met.steps.add(kind);
    }
    met.improvers.add(spec.recipe.improver);
    const names = plan.models.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { step } of plan.models) expect(known.has(step)).toBe(true);
    expect(plan.steps.at(-1)?.kind).toBe(spec.preview === null ? 'report' : 'preview');
    const rounds = plan.steps.filter(({ kind }) => kind === 'dpo');
    expect(rounds).toHaveLength(spec.preview === null ? spec.recipe.rounds : 0);
    for (const { inputs } of rounds) expect('reference' in inputs).toBe(trainerTraits[spec.preference.trainer].reference);
    // Nothing is made that nobody uses.
    const used = new Set(plan.steps.filter(({ kind }) => kind !== 'report' && kind !== 'preview').flatMap(({ inputs }) => Object.values(inputs)));
    if (spec.preview === null) {
      for (const { key, kind } of plan.steps) if (kind === 'generate' || kind === 'score' || kind === 'teach' || kind === 'filter' || kind === 'pair' || kind === 'build-sft') expect(used.has(key), `nobody uses ${key}`).toBe(true);
    }
  }), { numRuns: 500 });
  expect(met.steps.size).toBe(Object.keys(roles).length);
  expect(met.improvers.size).toBe(4);
});
