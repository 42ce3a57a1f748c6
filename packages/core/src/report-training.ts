/** What the trainings of a run were asked for, and what their statistics say. */
import type { Plan, StepPlan } from './plan.ts';
import { isFields, readCount, readFields } from './report-stats.ts';
import type { Fields } from './report-stats.ts';
import type { ReportArtifactInput, ReportTraining, TrainingMeasurement } from './report-types.ts';
import type { TrainingOptions } from './spec.ts';

/** One entry a training of the plan, in its order. Throws TypeError, naming step and field, for statistics of another shape. */
export function describeTrainings(plan: Plan, artifacts: readonly ReportArtifactInput[]): ReportTraining[] {
  return plan.steps.flatMap((step) => {
    const options = optionsOf(step);
    if (options === null) return [];
    const left = artifacts.find(({ role }) => role === step.key)?.training ?? null;
    const statistics = isFields(left) ? left : null;
    const parameters = readFields(statistics, 'parameters', step.key);
    return [{
      step: step.key, title: step.title, published: options.publish, lora: options.lora, validation: options.validation,
      updates: statistics === null ? null : readCount(statistics, 'steps', step.key),
      parameters: parameters === null ? null : { trained: readCount(parameters, 'trained', step.key), total: readCount(parameters, 'total', step.key) },
      measurements: measurementsOf(statistics, step.key), best: bestOf(statistics, step.key),
    }];
  });
}

function optionsOf(step: StepPlan): TrainingOptions | null {
  if (step.kind === 'sft') return step.parameters.training;
  return step.kind === 'dpo' ? step.parameters.preference : null;
}

const measurementOf = (from: Fields, at: string): TrainingMeasurement => ({ step: readCount(from, 'step', at), value: readCount(from, 'value', at) });

function measurementsOf(statistics: Fields | null, at: string): TrainingMeasurement[] {
  const list = statistics?.['measurements'] ?? [];
  if (!Array.isArray(list) || !list.every(isFields)) throw new TypeError(`statistics of step "${at}": measurements must be a list of objects`);
  return list.map((entry) => measurementOf(entry, at));
}

function bestOf(statistics: Fields | null, at: string): TrainingMeasurement | null {
  const best = readFields(statistics, 'best', at);
  return best === null ? null : measurementOf(best, at);
}
