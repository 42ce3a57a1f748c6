/** A plan as people and programs read it: where each step takes its rows, its model, its prompt and its two sides from. */
import type { Plan, PlannedModel, PromptName, StepPlan, StepPlanOf } from './plan.ts';
import { promptTemplates, type Slot } from './prompts.ts';
import { presetOf, type PresetName } from './recipes.ts';
import type { DatasetSource, ModelSource, RecipeOptions, RunSpec } from './spec.ts';

/** A column of the table that a step leaves. */
export interface ColumnOf { readonly step: string; readonly column: string }

/** What fills a role of a step: the output of another one, or what the spec names. Fields of a source that are not set are left out. */
export type InputDescription = { readonly step: string } | { readonly dataset: Partial<DatasetSource> & { readonly field: string } } | { readonly weights: Partial<ModelSource> };

export interface PromptDescription {
  readonly template: PromptName;
  /** p_ref, p_train or p_refine of the method; x for a plain prompt. */
  readonly symbol: string;
  /** null for a plain prompt: it is the row's conversation itself. */
  readonly text: string | null;
  /** Slot of the template → the column that fills it. */
  readonly columns: Readonly<Partial<Record<Slot, ColumnOf>>>;
}

/** One side of the pairs a preference training learns from. `model`: the step whose model wrote it; null when it stands in a data set. */
export interface SideDescription extends ColumnOf { readonly source: 'refined' | 'reference' | 'sampled' | 'given'; readonly model: string | null }

export interface StepDescription {
  readonly key: string;
  readonly kind: StepPlan['kind'];
  readonly title: string;
  readonly inputs: Readonly<Record<string, InputDescription>>;
  /** Step whose model samples, scores or is trained; null when there is none. */
  readonly model: string | null;
  readonly prompt: PromptDescription | null;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Set for preference trainings: keys of the steps whose models they are. */
  readonly policy?: string;
  /** null: the trainer compares with none. */
  readonly reference?: string | null;
  readonly chosen?: SideDescription;
  readonly rejected?: SideDescription;
}

export interface PlanDescription {
  readonly preset: PresetName;
  readonly paper: string;
  readonly recipe: RecipeOptions;
  readonly models: readonly PlannedModel[];
  readonly steps: readonly StepDescription[];
}

/** Describes what compileRun(spec) gave. Pure, and total over every plan. */
export function describePlan(plan: Plan, spec: RunSpec): PlanDescription {
  const byKey = new Map(plan.steps.map((step) => [step.key, step]));
  return {
    preset: spec.preset, paper: presetOf(spec.preset).paper, recipe: spec.recipe, models: plan.models,
    steps: plan.steps.map((step) => describeStep(step, byKey)),
  };
}

type StepsByKey = ReadonlyMap<string, StepPlan>;

function describeStep(step: StepPlan, byKey: StepsByKey): StepDescription {
  const { prompt: _, promptHash: __, ...parameters } = { prompt: null, promptHash: null, ...step.parameters };
  return {
    key: step.key, kind: step.kind, title: step.title, inputs: inputsOf(step), model: modelOf(step), prompt: promptOf(step), parameters: withoutSources(parameters),
    ...(step.kind === 'dpo' ? sidesOf(step, byKey) : {}),
  };
}

/** Sources stand among the inputs. */
const withoutSources = (parameters: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => name !== 'source' && name !== 'model'));

function inputsOf(step: StepPlan): Record<string, InputDescription> {
  const steps = Object.fromEntries(Object.entries(step.inputs).map(([role, key]): [string, InputDescription] => [role, { step: key }]));
  if (step.kind === 'ingest') return { source: { dataset: { field: `data.${step.parameters.space}`, ...given(step.parameters.source) } }, ...steps };
  if (step.kind === 'import-model') return { source: { weights: given(step.parameters.model) }, ...steps };
  return steps;
}

/** Without what is null or empty. */
function given<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null && !(Array.isArray(entry) && entry.length === 0))) as Partial<T>;
}

const modelOf = ({ kind, inputs }: StepPlan): string | null => (kind === 'preview' || kind === 'report' ? null : inputs['model'] ?? inputs['policy'] ?? null);

const symbols: Readonly<Record<PromptName, string>> = {
  'plain': 'x', 'teach': 'p_ref', 'train': 'p_train', 'train-with-reference': 'p_train', 'refine': 'p_refine', 'refine-without-reference': 'p_refine',
};

function promptOf(step: StepPlan): PromptDescription | null {
  if (step.kind === 'score') return describePrompt('plain', step);
  if (step.kind === 'generate' || step.kind === 'teach' || step.kind === 'build-sft') return describePrompt(step.parameters.prompt, step);
  return null;
}

/** x and y_sft stand in the rows, y₀ and y in what was sampled. */
function describePrompt(name: PromptName, { inputs }: StepPlan): PromptDescription {
  const rows = inputs['rows'] ?? '';
  const column: Readonly<Record<Slot, ColumnOf>> = {
    prompt: { step: rows, column: 'prompt' }, reference: { step: rows, column: 'response' }, draft: { step: inputs['draft'] ?? '', column: 'text' },
  };
  const template = name === 'plain' ? null : promptTemplates[name];
  const slots: readonly Slot[] = template?.slots ?? ['prompt'];
  return { template: name, symbol: symbols[name], text: template?.text ?? null, columns: Object.fromEntries(slots.map((slot) => [slot, column[slot]])) };
}

function sidesOf(step: StepPlanOf<'dpo'>, byKey: StepsByKey): Pick<StepDescription, 'policy' | 'reference' | 'chosen' | 'rejected'> {
  const pair = byKey.get(step.inputs['dataset'] ?? '');
  if (pair?.kind !== 'pair') throw new TypeError(`step ${step.key} does not learn from pairs: compileRun makes no such plan`);
  const rows = pair.inputs['rows'] ?? '';
  const sampled = (source: 'refined' | 'sampled', key = ''): SideDescription => ({ source, step: key, column: 'text', model: byKey.get(key)?.inputs['model'] ?? null });
  const { chosen, rejected } = pair.parameters;
  return {
    policy: step.inputs['policy'] ?? '', reference: step.inputs['reference'] ?? null,
    chosen: chosen === 'refined' ? sampled('refined', pair.inputs['chosen']) : { source: chosen, step: rows, column: chosen === 'given' ? 'chosen' : 'response', model: null },
    rejected: rejected === 'sampled' ? sampled('sampled', pair.inputs['rejected']) : { source: rejected, step: rows, column: 'rejected', model: null },
  };
}
