import { promptHash } from './prompts.ts';
import type { Plan, PromptName, StepPlan, StepPlanOf } from './plan.ts';
import type { RunSpec, SamplingOptions } from './spec.ts';

/**
 * Turns a spec into its plan. Pure: equal specs give equal plans.
 * Presets do not appear here; only the options they stand for do (Algorithm of Section 3, arXiv 2507.20181).
 */
export function compileRun(spec: RunSpec): Plan {
  const steps: StepPlan[] = [];
  const add = <S extends StepPlan>(step: S): string => { steps.push(step); return step.key; };
  const seedOf = (key: string): number => spec.seed + hashToInt(key);

  const pi0 = add({ key: 'import-model', kind: 'import-model', title: 'initial policy π₀', space: null, inputs: {}, parameters: { path: spec.model.path } });
  const dImp = add(ingest(spec, 'improver', {}));
  const dPol = add(ingest(spec, 'policy', { against: dImp }));

  const generate = (key: string, title: string, space: 'improver' | 'policy' | 'heldOut', prompt: PromptName, inputs: Record<string, string>, sampling: SamplingOptions): string =>
    add({ key, kind: 'generate', title, space, inputs, parameters: { prompt, promptHash: promptHash(prompt), sampling, seed: spec.seed, sampleIndex: 0 } });

  const y0 = generate('generate-y0', 'y₀ ~ π₀(x)', 'improver', 'plain', { rows: dImp, model: pi0 }, spec.sampling);
  const improver = trainImprover();
  const start = spec.recipe.improver === 'shared' ? improver : pi0;

  const models = [{ name: 'pi0', step: pi0 }, { name: 'improver', step: improver }];
  let policy = start;
  for (let round = 1; round <= spec.recipe.rounds; round += 1) {
    policy = preferenceRound(round, policy);
    models.push({ name: `round${String(round)}`, step: policy });
  }
  if (spec.data.heldOut !== null) evaluate();
  add({ key: 'report', kind: 'report', title: 'report', space: null, inputs: Object.fromEntries(steps.map((s) => [s.key, s.key])), parameters: {} });
  return { steps };

  function trainImprover(): string {
    const sets: Record<string, string> = {};
    const scores: Record<string, string> = {};
    for (const target of ['external', 'improved'] as const) {
      if (!spec.recipe.targets.includes(target)) continue;
      const prompt: PromptName = target === 'improved' ? 'teach' : 'plain';
      const symbol = target === 'improved' ? 'ŷ' : 'y_ext';
      sets[target] = add({
        key: `teach-${target}`, kind: 'teach', title: `${symbol} from the teacher`, space: 'improver',
        inputs: { rows: dImp, ...(target === 'improved' ? { draft: y0 } : {}) }, parameters: { prompt, promptHash: promptHash(prompt), teacher: spec.teacher },
      });
      scores[target] = add({
        key: `score-${target}`, kind: 'score', title: `perplexity of ${symbol} under π₀`, space: 'improver', inputs: { rows: dImp, model: pi0, answers: sets[target] },
        parameters: { of: 'answers', chrf: false, maxLength: spec.sampling.maxLength, blockRows: spec.sampling.blockRows, dtype: spec.sampling.dtype },
      });
    }
    const filter = add({ key: 'filter', kind: 'filter', title: 'perplexity filter', space: null, inputs: scores, parameters: spec.filter });
    const prompt: PromptName = spec.recipe.referenceInTraining ? 'train-with-reference' : 'train';
    const dataset = add({
      key: 'build-sft', kind: 'build-sft', title: 'improver training set', space: null, inputs: { rows: dImp, draft: y0, filter, ...sets },
      parameters: { prompt, promptHash: promptHash(prompt) },
    });
    return add({
      key: 'train-improver', kind: 'sft', title: 'improver training → π*', space: null, inputs: { model: pi0, dataset },
      parameters: { training: spec.improverTraining, seed: seedOf('train-improver') },
    });
  }

  function preferenceRound(round: number, from: string): string {
    const r = String(round);
    const improverModel = spec.recipe.improver === 'shared' ? from : improver;
    const y = generate(`generate-y-r${r}`, 'y from the policy', 'policy', 'plain', { rows: dPol, model: from }, spec.sampling);
    const sides: Record<string, string> = { rejected: y };
    if (spec.recipe.chosen === 'refined') {
      const prompt: PromptName = spec.recipe.referenceInRefining ? 'refine' : 'refine-without-reference';
      sides['chosen'] = generate(`generate-yplus-r${r}`, 'y⁺ from the improver', 'policy', prompt, { rows: dPol, model: improverModel, draft: y }, spec.sampling);
    }
    const pairs = add({
      key: `pair-r${r}`, kind: 'pair', title: 'preference pairs', space: null, inputs: { rows: dPol, ...sides }, parameters: { chosen: spec.recipe.chosen },
    });
    return add({
      key: `dpo-r${r}`, kind: 'dpo', title: `preference optimisation, round ${r}`, space: null,
      inputs: { policy: from, reference: spec.preference.reference === 'initial' ? pi0 : from, dataset: pairs },
      parameters: { preference: spec.preference, seed: seedOf(`dpo-r${r}`) },
    });
  }

  function evaluate(): void {
    const rows = add(ingest(spec, 'heldOut', {}));
    const sampling: SamplingOptions = { ...spec.sampling, ...spec.evaluation };
    for (const { name, step } of models) {
      const answers = generate(`eval-generate-${name}`, `held-out answers of ${name}`, 'heldOut', 'plain', { rows, model: step }, sampling);
      const scores = add({
        key: `eval-score-${name}`, kind: 'score', title: `held-out references under ${name}`, space: 'heldOut', inputs: { rows, model: step, answers },
        parameters: { of: 'reference', chrf: true, maxLength: spec.sampling.maxLength, blockRows: spec.sampling.blockRows, dtype: spec.sampling.dtype },
      });
      add({ key: `eval-measure-${name}`, kind: 'measure', title: `held-out measures of ${name}`, space: null, inputs: { answers, scores }, parameters: { model: name } });
    }
  }
}

function ingest(spec: RunSpec, space: 'improver' | 'policy' | 'heldOut', inputs: Record<string, string>): StepPlanOf<'ingest'> {
  const source = spec.data[space];
  if (source === null) throw new TypeError(`no data set for ${space}`);
  return {
    key: `ingest-${space === 'heldOut' ? 'heldout' : space}`, kind: 'ingest', title: `rows of the ${space === 'heldOut' ? 'held-out' : space} set`, space,
    inputs, parameters: { source, space, against: 'against' in inputs },
  };
}

/** FNV-1a, 16 bits: keeps seeds of different trainings apart and small enough to add to any seed. */
function hashToInt(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash & 0xffff;
}
