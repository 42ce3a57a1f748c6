/** What a run would read, ask and cost, without asking anything. */
import { charactersPerToken, sizeSteps } from './estimate-steps.ts';
import type { StepSize } from './estimate-steps.ts';
import type { SetSize } from './estimate-sets.ts';
import { stepKinds } from './plan.ts';
import type { Plan, RowSpace, StepKind, StepPlan } from './plan.ts';
import { costOf, priceOf } from './prices.ts';
import type { RunSpec } from './spec.ts';

/** How fast work of a kind went lately: `seconds` of one worker for `rows`. */
export interface Rate { readonly kind: StepKind; readonly rows: number; readonly seconds: number }

export interface StepEstimate { readonly key: string; readonly kind: StepKind; readonly title: string; readonly rows: number; readonly promptTokens: number; readonly completionTokens: number; readonly seconds: number | null }

export interface RunEstimate {
  readonly steps: StepEstimate[];
  /** null when no teacher is called. */
  readonly teacher: { readonly calls: number; readonly promptTokens: number; readonly completionTokens: number; readonly cost: number | null; /** Why the cost is not known. */ readonly reason: string | null } | null;
  /** Seconds of the kinds with a rate, together; null when no kind has one. */
  readonly worker: { readonly seconds: number | null; readonly unknown: string[] };
  readonly assumptions: string[];
}

/** Sizes of the sets are those after ingest. */
export function estimateRun({ spec, plan, sets, rates }: {
  readonly spec: RunSpec; readonly plan: Plan; readonly sets: Readonly<Partial<Record<RowSpace, SetSize>>>; readonly rates: readonly Rate[];
}): RunEstimate {
  const sizes = sizeSteps(plan, sets);
  const steps = plan.steps.map((step) => describe(step, sizes.get(step.key), rates));
  return { steps, teacher: teacherOf(spec, steps), worker: workerOf(steps), assumptions: assumptionsOf(spec, plan) };
}

function describe({ key, kind, title }: StepPlan, size: StepSize | undefined, rates: readonly Rate[]): StepEstimate {
  const { rows, promptTokens, completionTokens } = size ?? { rows: 0, promptTokens: 0, completionTokens: 0 };
  const rate = rates.find((known) => known.kind === kind && known.rows > 0);
  return { key, kind, title, rows, promptTokens, completionTokens, seconds: rate === undefined ? null : Math.round((rows * rate.seconds * 10) / rate.rows) / 10 };
}

function teacherOf(spec: RunSpec, steps: readonly StepEstimate[]): RunEstimate['teacher'] {
  const calls = steps.filter(({ kind }) => kind === 'teach');
  const { teacher } = spec;
  if (teacher === null || calls.length === 0) return null;
  const sum = (pick: (step: StepEstimate) => number): number => calls.reduce((total, step) => total + pick(step), 0);
  const tokens = { promptTokens: sum((step) => step.promptTokens), completionTokens: sum((step) => step.completionTokens) };
  const cost = costOf(priceOf(teacher), tokens);
  return {
    calls: sum((step) => step.rows), ...tokens, cost,
    reason: cost === null ? `no price is known for ${JSON.stringify(teacher.model)} at that address; give teacher.price` : null,
  };
}

function workerOf(steps: readonly StepEstimate[]): RunEstimate['worker'] {
  const work = steps.filter(({ kind }) => stepKinds[kind].where === 'worker');
  const known = work.flatMap(({ seconds }) => (seconds === null ? [] : [seconds]));
  return {
    seconds: known.length === 0 ? null : Math.round(known.reduce((total, seconds) => total + seconds, 0) * 10) / 10,
    unknown: [...new Set(work.filter(({ seconds }) => seconds === null).map(({ kind }) => kind))],
  };
}

function assumptionsOf(spec: RunSpec, plan: Plan): string[] {
  const has = (kind: StepKind): boolean => plan.steps.some((step) => step.kind === kind);
  const when = (holds: boolean, text: string): string[] => (holds ? [text] : []);
  return [
    `Tokens are characters divided by ${String(charactersPerToken)}, rounded up: no tokenizer was asked, and the tokens of chat templates are not counted.`,
    ...when(has('generate') || has('teach'), 'Rows and tokens behind the first sampling are the most there can be: no row is dropped on the way, and every answer is as long as maxNewTokens or maxTokens allows.'),
    ...when(has('teach'), 'Answers that the ledger has already are paid for: they are not taken off, since the questions hold drafts that only the run samples.'),
    ...when(spec.teacher?.mode === 'batch' && has('teach'), 'The cost is that of the Batch API.'),
    ...when(has('sft') || has('dpo'), 'Tokens of a training are those of all its epochs; its seconds follow past trainings by rows, whatever their epochs and lengths were.'),
    'Seconds are those of one worker at the rates of the work done lately, by rows; nothing is taken off for what the cache has.',
    ...when(spec.data.sft !== null, 'Step 0 counts as a training of this run.'),
  ];
}
