import type { DatasetSource, FilterOptions, ModelSource, PreferenceOptions, RuleOptions, SamplingOptions, TeacherOptions, TrainingOptions } from './spec.ts';

/** The rows a step works on: those of the sets of `data`, after ingest. */
export type RowSpace = 'sft' | 'improver' | 'policy' | 'preferences' | 'heldOut';

/** Templates a prompt can be filled from; `plain` is x itself. */
export type PromptName = 'plain' | 'teach' | 'train' | 'refine' | 'refine-without-reference' | 'train-with-reference';

/** A teacher that is called over HTTP. */
export type EndpointTeacher = TeacherOptions & { readonly baseUrl: string; readonly model: string };

/**
 * What each kind of step needs beside its inputs. Everything here enters the cache key; nothing else does but the inputs' digests and the
 * step's version. Every step has one output: a table, a model folder or a report.
 */
export interface StepParameters {
  /** Local. A model folder becomes an artifact; one that is an artifact already is handed on. */
  'import-model': { readonly model: ModelSource; /** False: Step 0 gives it a chat template. */ readonly needsChatTemplate: boolean };
  /**
   * Local. Rows of a data set in canonical form. Inputs: `heldOut` and `improver`, sets whose prompts are looked for: those of the first
   * are dropped as `evaluation_prompt` (or kept and counted), those of the second as `shared_prompt`.
   */
  'ingest': { readonly source: DatasetSource; readonly space: RowSpace; readonly heldOutOverlap: 'drop' | 'keep'; readonly scores: 'check' | 'ignore' };
  /** Worker, sharded. Inputs: rows, model, and for refining and teaching: draft. */
  'generate': { readonly prompt: PromptName; readonly promptHash: string; readonly sampling: SamplingOptions; readonly seed: number; readonly sampleIndex: number };
  /** Local, sharded. Inputs: rows, and for `teach`: draft. */
  'teach': { readonly prompt: PromptName; readonly promptHash: string; readonly teacher: EndpointTeacher };
  /** Worker, sharded. Inputs: rows, model, answers (a generate or teach step) or none: the reference; `chrf` compares answers with the reference. */
  'score': { readonly of: 'answers' | 'reference'; readonly chrf: boolean; readonly maxLength: number; readonly blockRows: number; readonly dtype: 'float32' | 'bfloat16' };
  /** Local. Inputs: external, and improved when it is a target (score steps). */
  'filter': FilterOptions;
  /** Local. Inputs: rows, draft, filter, external and improved (teach steps). */
  'build-sft': { readonly prompt: PromptName; readonly promptHash: string; readonly rules: RuleOptions; readonly seed: number };
  /** Worker. Inputs: model, dataset. `chatTemplate`: as in the worker protocol; empty: the model's own. */
  'sft': { readonly training: TrainingOptions; readonly chatTemplate: '' | 'auto' | 'chatml' | 'llama3' | 'plain'; readonly seed: number };
  /** Local. Inputs: rows, rejected unless it is given, and chosen when it is refined. */
  'pair': { readonly chosen: 'refined' | 'reference' | 'given'; readonly rejected: 'sampled' | 'given'; readonly rules: RuleOptions };
  /** Worker. Inputs: policy, dataset, and reference where the trainer has one. */
  'dpo': { readonly preference: PreferenceOptions; readonly seed: number };
  /** Local. Inputs: answers, scores: the measures of one model on the held-out prompts. */
  'measure': { readonly model: string };
  /** Local. Inputs: every other step, for order. The texts, verdicts and cost of a preview. */
  'preview': { readonly rows: number };
  /** Local. Inputs: every other step, for order. */
  'report': Record<string, never>;
}

export type StepKind = keyof StepParameters;

/** A planned step. `inputs` maps a role to the key of the step whose output fills it. */
export type StepPlan = { readonly [Kind in StepKind]: {
  readonly key: string;
  readonly kind: Kind;
  /** One line for people. */
  readonly title: string;
  /** Set for the kinds that work row by row. */
  readonly space: RowSpace | null;
  readonly inputs: Readonly<Record<string, string>>;
  readonly parameters: StepParameters[Kind];
} }[StepKind];

export type StepPlanOf<Kind extends StepKind> = Extract<StepPlan, { readonly kind: Kind }>;

/** A model of a run by name: `base` (before Step 0), `pi0`, `improver`, `round1`, `round2` … `step`: the key of the step that makes it. */
export interface PlannedModel { readonly name: string; readonly title: string; readonly step: string }

/** Steps in topological order; models in the order they come into being, the last one being the result. */
export interface Plan { readonly steps: readonly StepPlan[]; readonly models: readonly PlannedModel[] }

interface KindTraits {
  readonly where: 'local' | 'worker';
  /** Cut into shards of rows, then merged. */
  readonly sharded: boolean;
  /** An equal finished task may stand in for a new one. */
  readonly cacheable: boolean;
  /** Raised when the meaning of the step changes: part of the cache key. */
  readonly version: number;
}

export const stepKinds: Readonly<Record<StepKind, KindTraits>> = {
  'import-model': { where: 'local', sharded: false, cacheable: false, version: 1 },
  'ingest': { where: 'local', sharded: false, cacheable: false, version: 2 },
  'generate': { where: 'worker', sharded: true, cacheable: true, version: 1 },
  'teach': { where: 'local', sharded: true, cacheable: true, version: 1 },
  'score': { where: 'worker', sharded: true, cacheable: true, version: 1 },
  'filter': { where: 'local', sharded: false, cacheable: true, version: 2 },
  'build-sft': { where: 'local', sharded: false, cacheable: true, version: 2 },
  'sft': { where: 'worker', sharded: false, cacheable: true, version: 2 },
  'pair': { where: 'local', sharded: false, cacheable: true, version: 2 },
  'dpo': { where: 'worker', sharded: false, cacheable: true, version: 2 },
  'measure': { where: 'local', sharded: false, cacheable: true, version: 1 },
  'preview': { where: 'local', sharded: false, cacheable: false, version: 1 },
  'report': { where: 'local', sharded: false, cacheable: false, version: 1 },
};

/** Inputs that a shard reads only its own rows of: the source is sharded over the same rows. */
export function isShardwise(step: StepPlan, source: StepPlan): boolean {
  return stepKinds[step.kind].sharded && stepKinds[source.kind].sharded && step.space === source.space;
}
