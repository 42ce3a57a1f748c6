import { promptHash } from './prompts.ts';
import type { EndpointTeacher, Plan, PlannedModel, PromptName, RowSpace, StepPlan, StepPlanOf } from './plan.ts';
import type { DatasetSource, RunSpec, SamplingOptions } from './spec.ts';

/** Adds steps to a plan, in order; each method gives the key of its step. */
export interface PlanBuilder {
  add(step: StepPlan): string;
  model(model: PlannedModel): string;
  /** The set of `space`, made once. `against`: sets whose prompts are looked for, by role. */
  ingest(space: RowSpace, against: Readonly<Record<string, string>>): string;
  generate(step: Pick<StepPlanOf<'generate'>, 'key' | 'title' | 'space' | 'inputs'> & { readonly prompt: PromptName; readonly sampling?: SamplingOptions; readonly sampleIndex?: number }): string;
  teach(step: Pick<StepPlanOf<'teach'>, 'key' | 'title' | 'space' | 'inputs'> & { readonly prompt: PromptName; readonly teacher: EndpointTeacher }): string;
  score(step: Pick<StepPlanOf<'score'>, 'key' | 'title' | 'space' | 'inputs'> & { readonly of: 'answers' | 'reference' }): string;
  /** The seed of a step with randomness of its own. */
  seedOf(key: string): number;
  result(): Plan;
}

const setNames: Readonly<Record<RowSpace, string>> = { sft: 'sft', improver: 'improver', policy: 'policy', preferences: 'preferences', heldOut: 'heldout' };

export function createPlanBuilder(spec: RunSpec): PlanBuilder {
  const steps: StepPlan[] = [];
  const models: PlannedModel[] = [];
  const { maxLength, blockRows, dtype } = spec.sampling;

  function add(step: StepPlan): string {
    steps.push(step);
    return step.key;
  }
  return {
    add,
    model(model) {
      models.push(model);
      return model.step;
    },
    ingest(space, against) {
      const key = `ingest-${setNames[space]}`;
      return add({
        key, kind: 'ingest', title: `rows of the ${space === 'heldOut' ? 'held-out' : setNames[space]} set`, space, inputs: against,
        parameters: { source: sourceOf(spec, space), space, heldOutOverlap: spec.data.heldOutOverlap, scores: spec.data.scores },
      });
    },
    generate: ({ prompt, sampling = spec.sampling, sampleIndex = 0, ...step }) =>
      add({ ...step, kind: 'generate', parameters: { prompt, promptHash: promptHash(prompt), sampling, seed: spec.seed, sampleIndex } }),
    teach: ({ prompt, teacher, ...step }) => add({ ...step, kind: 'teach', parameters: { prompt, promptHash: promptHash(prompt), teacher } }),
    score: ({ of, ...step }) => add({ ...step, kind: 'score', parameters: { of, chrf: of === 'reference', maxLength, blockRows, dtype } }),
    seedOf: (key) => spec.seed + hashToInt(key),
    result: () => ({ steps, models }),
  };
}

function sourceOf(spec: RunSpec, space: RowSpace): DatasetSource {
  const source = spec.data[space];
  if (source === null) throw new TypeError(`no data set for ${space}: specs are checked before they are compiled`);
  if (spec.preview === null) return source;
  const whole = Math.ceil(spec.preview.rows / spec.sampling.blockRows) * spec.sampling.blockRows;
  return { ...source, limit: Math.min(whole, source.limit ?? whole) };
}

/** FNV-1a, 16 bits: keeps seeds of different trainings apart and small enough to add to any seed. */
function hashToInt(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash & 0xffff;
}
