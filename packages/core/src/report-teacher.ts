/** What the teacher of a run did and cost. */
import type { Plan } from './plan.ts';
import { priceOf } from './prices.ts';
import { isFields, readCount, readNumber } from './report-stats.ts';
import type { ReportInput, ReportStepInput, ReportTeacher } from './report-types.ts';
import type { RunSpec } from './spec.ts';

interface Usage { readonly calls: number; readonly reused: number; readonly batches: number; readonly promptTokens: number; readonly completionTokens: number; readonly cost: number | null }

/** Sums the steps that made the improver's targets: calls of an endpoint, or samples of weights that the workers hold. null when none is asked. */
export function describeTeacher({ run, steps, budgetPauses = 0 }: ReportInput, plan: Plan): ReportTeacher | null {
  const { teacher } = run.spec;
  const training = plan.steps.find(({ kind }) => kind === 'build-sft');
  if (teacher === null || training === undefined) return null;
  const { external, improved } = training.inputs;
  const usages = steps.filter(({ key }) => key === external || key === improved).flatMap((step) => {
    const usage = usageOf(step);
    return usage === null ? [] : [usage];
  });
  const sum = (pick: (usage: Usage) => number): number => usages.reduce((total, usage) => total + pick(usage), 0);
  const cost = usages.some((usage) => usage.cost === null) ? null : sum((usage) => usage.cost ?? 0);
  return {
    source: teacher.source, model: teacher.model, mode: teacher.source === 'endpoint' ? teacher.mode : null,
    calls: sum(({ calls }) => calls), reused: sum(({ reused }) => reused), batches: sum(({ batches }) => batches),
    promptTokens: sum(({ promptTokens }) => promptTokens), completionTokens: sum(({ completionTokens }) => completionTokens),
    cost, costUnknown: cost === null ? reasonOf(run.spec) : null, budget: run.budget ?? teacher.budget, budgetPauses,
  };
}

/** Weights of the fleet cost nothing a call. A sampled step that was wholly reused asked nothing new; its tokens were spent by the run that did. */
function usageOf({ kind, key, stats, rowsOut = 0, tasks }: ReportStepInput): Usage | null {
  if (!isFields(stats)) return null;
  const promptTokens = readCount(stats, 'promptTokens', key);
  const completionTokens = readCount(stats, 'completionTokens', key);
  if (kind === 'teach') {
    const batches = stats['batches'] === undefined ? 0 : readCount(stats, 'batches', key);
    return { calls: readCount(stats, 'calls', key), reused: readCount(stats, 'reused', key), batches, promptTokens, completionTokens, cost: readNumber(stats, 'cost', key) };
  }
  if (tasks.length > 0 && tasks.every(({ state }) => state === 'cached')) return { calls: 0, reused: rowsOut, batches: 0, promptTokens: 0, completionTokens: 0, cost: 0 };
  return { calls: rowsOut, reused: 0, batches: 0, promptTokens, completionTokens, cost: 0 };
}

function reasonOf({ teacher }: RunSpec): string {
  if (teacher === null || priceOf(teacher) !== null) return 'the teacher answered without counting its tokens';
  return `no price is known for ${JSON.stringify(teacher.model)}; give teacher.price`;
}
