/** The input of a report for unit tests. */
import { compileRun } from '../compile.ts';
import type { MetricPoint, ReportInput, ReportStepInput } from '../report-types.ts';
import type { RunSpec } from '../spec.ts';
import { sampleSpec } from './sample-spec.ts';

export const edits = { meanCharacters: 12.5, meanNormalised: 0.25, n: 40 };
export const filterStats = { q1: 2, q3: 4, low: -1, high: 7, total: 48, kept: 45, tooShort: 1, before: { mean: 3, median: 3, max: 9 }, after: { mean: 3, median: 3, max: 6 } };
const statsOf = (key: string): Record<string, unknown> | null => {
  if (key === 'filter') return { improved: filterStats, external: { ...filterStats, kept: 40 } };
  if (key === 'build-sft') return { editDistance: { improvedToDraft: edits, improvedToReference: { ...edits, meanCharacters: 20 } }, lengths: { draft: 100, reference: 200, improved: 120, external: 180 }, flagged: { unfinished_kept: 2 }, replay: { wanted: 9, rows: 9 } };
  if (key.startsWith('pair-')) return { editDistance: { chosenToRejected: edits, chosenToReference: edits }, lengths: { chosen: 120, rejected: 100, ratio: 1.2 }, flagged: { unfinished_kept: 0 } };
  if (key.startsWith('ingest-')) return { format: 'messages', flagged: { zero_width: 3, mojibake: 0 }, overlaps: 0 };
  if (key.startsWith('teach-')) return { calls: 40, reused: 8, batches: 2, promptTokens: 1_000, completionTokens: 500, cost: 0.25 };
  if (key === 'eval-measure-pi0') return { model: 'pi0', referencePerplexity: 9, chrf: 28, length: 60, unfinished: 0.2, rows: 20, dropped: {} };
  if (key.startsWith('eval-measure-')) return { model: 'x', referencePerplexity: 9.54, chrf: 28.1, length: 61, unfinished: 0.6, rows: 20, dropped: {} };
  return {};
};
/** Every step of the plan, well ended: 48 rows in, 45 out. */
export const reportSteps = (spec: RunSpec): ReportStepInput[] => compileRun(spec).steps.map(({ key, kind }) => ({
  key, kind, state: kind === 'report' ? 'running' : 'succeeded', rowsIn: 48, rowsOut: 45, dropped: { empty_prompt: 3 }, stats: statsOf(key),
  startedAt: new Date(1_000), endedAt: new Date(3_500), tasks: [{ state: 'succeeded' }, { state: 'cached' }],
}));
/** training_statistics.json of a training with validation rows. */
export const statistics = {
  rows: { train: 43, validation: 2 }, steps: 20, epochs: 1, published: 'best', measure: 'loss', measurements: [{ step: 10, value: 0.61 }, { step: 20, value: 0.63 }], best: { step: 10, value: 0.61 },
  loss: { first: 0.69, last: 0.6 }, parameters: { trained: 1_000, total: 4_000 },
};
export const points = (stepKey: string, values: Record<string, [number, number][]>): MetricPoint[] =>
  Object.entries(values).flatMap(([name, series]) => series.map(([step, value]) => ({ stepKey, name, step, value })));
/** Metrics of a training that went well. */
export const healthy = {
  'loss': [[0, Math.LN2], [20, 0.6]], 'rewards/margins': [[0, 0], [20, 0.2]], 'rewards/accuracies': [[0, 0], [20, 0.7]], 'logps/chosen': [[0, -50], [20, -49]], 'logps/rejected': [[0, -60], [20, -62]],
} satisfies Record<string, [number, number][]>;
/** What a report of a run that went well is built from. */
export const reportInput = (rest: Partial<ReportInput> = {}, spec = sampleSpec()): ReportInput => ({
  run: { id: 'run_1', preset: spec.preset, spec, startedAt: new Date(0) }, endedAt: new Date(60_000), steps: reportSteps(spec),
  metrics: Array.from({ length: spec.recipe.rounds }, (_, index) => points(`dpo-r${String(index + 1)}`, healthy)).flat(),
  artifacts: [
    { role: 'generate-y0', kind: 'table', digest: 'a'.repeat(64), path: '/store/aa', rows: 48, bytes: 1_000, meta: { engine: 'transformers', torch: '2.13.0', nested: { no: 1 }, seed: null } },
    { role: 'dpo-r1', kind: 'model', digest: 'b'.repeat(64), path: '/store/bb', rows: null, bytes: 5_000, meta: { torch: '2.13.0' }, training: statistics },
    { role: 'import-model', kind: 'model', digest: 'c'.repeat(64), path: '/store/cc', rows: null, bytes: 5_000 },
  ],
  ...rest,
});
