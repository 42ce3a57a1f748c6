import { describe, expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import { presets } from './recipes.ts';
import { renderReport } from './report-markdown.ts';
import { assertSums } from './report-stats.ts';
import type { MetricPoint, ReportInput, ReportStepInput } from './report-types.ts';
import { buildReport } from './report.ts';
import type { RunSpec } from './spec.ts';
import { sampleSpec } from './testing/sample-spec.ts';

const edits = { meanCharacters: 12.5, meanNormalised: 0.25, n: 40 };
const filterStats = { q1: 2, q3: 4, low: -1, high: 7, total: 48, kept: 45, tooShort: 1, before: { mean: 3, median: 3, max: 9 }, after: { mean: 3, median: 3, max: 6 } };
const statsOf = (key: string): Record<string, unknown> | null => {
  if (key === 'filter') return { improved: filterStats, external: { ...filterStats, kept: 40 } };
  if (key === 'build-sft') return { editDistance: { improvedToDraft: edits, improvedToReference: null }, lengths: { draft: 100, reference: 200, improved: 120, external: 180 } };
  if (key.startsWith('pair-')) return { editDistance: { chosenToRejected: edits, chosenToReference: edits }, lengths: { chosen: 120, rejected: 100, ratio: 1.2 } };
  if (key.startsWith('teach-')) return { calls: 40, reused: 8, promptTokens: 1_000, completionTokens: 500, cost: 0.25 };
  if (key === 'eval-measure-pi0') return { model: 'pi0', referencePerplexity: 9, chrf: 28, length: 60, unfinished: 0.2, rows: 20, dropped: {} };
  if (key.startsWith('eval-measure-')) return { model: 'x', referencePerplexity: 9.54, chrf: 28.1, length: 61, unfinished: 0.6, rows: 20, dropped: {} };
  return {};
};
const steps = (spec: RunSpec): ReportStepInput[] => compileRun(spec).steps.map(({ key, kind }) => ({
  key, kind, state: kind === 'report' ? 'running' : 'succeeded', rowsIn: 48, rowsOut: 45, dropped: { gone: 3 }, stats: statsOf(key),
  startedAt: new Date(1_000), endedAt: new Date(3_500), tasks: [{ state: 'succeeded' }, { state: 'cached' }],
}));
const points = (stepKey: string, values: Record<string, [number, number][]>): MetricPoint[] =>
  Object.entries(values).flatMap(([name, series]) => series.map(([step, value]) => ({ stepKey, name, step, value })));
const healthy = {
  'loss': [[0, Math.LN2], [20, 0.6]], 'rewards/margins': [[0, 0], [20, 0.2]], 'rewards/accuracies': [[0, 0], [20, 0.7]], 'logps/chosen': [[0, -50], [20, -49]], 'logps/rejected': [[0, -60], [20, -62]],
} satisfies Record<string, [number, number][]>;
const input = (rest: Partial<ReportInput> = {}, spec = sampleSpec()): ReportInput => ({
  run: { id: 'run_1', preset: spec.preset, spec, startedAt: new Date(0) }, endedAt: new Date(60_000), steps: steps(spec),
  metrics: Array.from({ length: spec.recipe.rounds }, (_, index) => points(`dpo-r${String(index + 1)}`, healthy)).flat(),
  artifacts: [
    { role: 'generate-y0', kind: 'table', digest: 'a'.repeat(64), path: '/store/aa', rows: 48, bytes: 1_000, meta: { engine: 'transformers', torch: '2.13.0', nested: { no: 1 }, seed: null } },
    { role: 'dpo-r1', kind: 'model', digest: 'b'.repeat(64), path: '/store/bb', rows: null, bytes: 5_000, meta: { torch: '2.13.0' } },
    { role: 'import-model', kind: 'model', digest: 'c'.repeat(64), path: '/store/cc', rows: null, bytes: 5_000 },
  ],
  ...rest,
});
const codes = (built: ReturnType<typeof buildReport>) => built.warnings.map(({ code }) => code);

describe('buildReport', () => {
  const report = buildReport(input());

  it('has the keys it promises', () => {
    expect(Object.keys(report)).toEqual(['run', 'steps', 'filter', 'editDistance', 'lengths', 'rounds', 'heldOut', 'teacher', 'artifacts', 'versions', 'provenance', 'warnings']);
    expect(report.run).toEqual({ id: 'run_1', preset: 'sgpo', status: 'succeeded', seconds: 60, seed: 7 });
    expect(report.steps.map(({ kind }) => kind)).not.toContain('report');
    expect(report.steps.find(({ key }) => key === 'filter')).toEqual({ key: 'filter', kind: 'filter', status: 'succeeded', tasks: 2, cached: 1, seconds: 2.5, rowsIn: 48, rowsOut: 45, dropped: { gone: 3 } });
    expect(report.filter.improved).toEqual({ q1: 2, q3: 4, low: -1, high: 7, total: 48, kept: 45, tooShort: 1 });
    expect(report.rounds).toEqual([{ round: 1, pairs: 45, firstLoss: Math.LN2, firstMargin: 0, finalLoss: 0.6, rewardAccuracy: 0.7, rewardMargin: 0.2, chosenLogp: -49, rejectedLogp: -62 }]);
    expect(report.heldOut.pi0).toEqual({ referencePerplexity: 9, chrf: 28, length: 60, unfinished: 0.2 });
    expect(report.heldOut.rounds).toHaveLength(1);
    expect(report.teacher).toEqual({ calls: 80, reused: 16, promptTokens: 2_000, completionTokens: 1_000, cost: 0.5 });
    expect(report.artifacts[0]).toEqual({ role: 'generate-y0', kind: 'table', digest: 'a'.repeat(64), path: '/store/aa', rows: 48, bytes: 1_000 });
    expect(report.versions).toEqual({ torch: '2.13.0' });
    expect(report.editDistance.rounds[0]?.chosenToRejected).toEqual(edits);
    expect(report.lengths.rounds[0]).toEqual({ round: 1, chosen: 120, rejected: 100, ratio: 1.2 });
  });
  it('says of each artifact what made it', () => {
    expect(report.provenance[0]).toMatchObject({ role: 'generate-y0', seed: 7, engine: 'transformers', details: { torch: '2.13.0' } });
    expect(report.provenance[0]?.promptHash).toMatch(/^[0-9a-f]{64}$/);
    expect(report.provenance[1]?.seed).toBeGreaterThanOrEqual(7);
    expect(report.provenance[2]).toMatchObject({ seed: null, promptHash: null, engine: null, details: {} });
  });
  it('survives JSON', () => { expect(JSON.parse(JSON.stringify(report))).toEqual(report); });
  it('reports every preset', () => {
    for (const { options } of Object.values(presets)) {
      const built = buildReport(input({}, sampleSpec({ recipe: options })));
      expect(built.rounds).toHaveLength(options.rounds);
      expect(built.warnings.filter(({ code }) => code !== 'mostly_unfinished')).toEqual([]);
      expect(renderReport(built)).toContain('## What moved');
    }
  });
  it('does without a held-out set, metrics, stats and a known price', () => {
    const spec = sampleSpec({ data: { ...sampleSpec().data, heldOut: null } });
    const bare = buildReport(input({ metrics: [], steps: steps(spec).map((step) => ({ ...step, state: 'running', stats: null, rowsIn: undefined, rowsOut: undefined, dropped: undefined, endedAt: null })) }, spec));
    expect(bare).toMatchObject({ run: { status: 'running' }, heldOut: { pi0: null, improver: null, rounds: [] }, filter: { improved: null, external: null }, warnings: [] });
    expect(renderReport(bare)).toContain('cannot say whether its models got better');
    const unpriced = buildReport(input({ steps: steps(sampleSpec()).map((step) => (step.key === 'teach-external' ? { ...step, stats: { ...step.stats, cost: null } } : step)) }));
    expect(unpriced.teacher.cost).toBeNull();
    expect(renderReport(unpriced)).toContain('The cost is unknown');
  });
  it('refuses stats of another shape, naming step and field', () => {
    const broken = steps(sampleSpec()).map((step) => (step.key === 'filter' ? { ...step, stats: { improved: { ...filterStats, q1: 'two' } } } : step));
    expect(() => buildReport(input({ steps: broken }))).toThrow(/"filter": q1 is string/);
  });
});

describe('assertSums', () => {
  it('lists the steps whose rows do not add up', () => {
    const off = buildReport(input({ steps: steps(sampleSpec()).map((step) => (step.key === 'pair-r1' ? { ...step, rowsOut: 44 } : step)) }));
    expect(assertSums(off)).toEqual(['pair-r1']);
    expect(codes(off)).toContain('sums_do_not_add_up');
    expect(assertSums(buildReport(input()))).toEqual([]);
  });
});

describe('warnings', () => {
  const withMetrics = (values: Record<string, [number, number][]>, spec = sampleSpec()) => codes(buildReport(input({ metrics: points('dpo-r1', { ...healthy, ...values }) }, spec)));

  it.each<[string, Record<string, [number, number][]>]>([
    ['first_loss_not_ln2', { loss: [[0, 0.7], [20, 0.6]] }], ['first_loss_unknown', { loss: [[20, 0.6]] }], ['first_margin_not_0', { 'rewards/margins': [[0, 0.01], [20, 0.2]] }],
    ['likelihood_displacement', { 'logps/chosen': [[0, -50], [20, -55]] }], ['likelihood_displacement', { 'rewards/chosen': [[0, 0], [20, -0.1]] }], ['few_updates', { loss: [[0, Math.LN2], [7, 0.6]] }],
  ])('%s', (code, values) => { expect(withMetrics(values)).toContain(code); });
  it('believes the chosen reward before raw log-probabilities of different batches', () => {
    expect(withMetrics({ 'logps/chosen': [[0, -50], [20, -55]], 'rewards/chosen': [[0, 0], [20, 0.1]] })).not.toContain('likelihood_displacement');
  });
  it('sees no displacement where margins did not grow', () => {
    expect(withMetrics({ 'logps/chosen': [[0, -50], [20, -55]], 'rewards/margins': [[0, 0], [20, -0.1]] })).not.toContain('likelihood_displacement');
  });
  it('expects ln 2 only where policy and reference are one', () => {
    const spec = sampleSpec({ preference: { ...sampleSpec().preference, reference: 'initial' } });
    expect(withMetrics({ loss: [[0, 0.9], [20, 0.6]] }, spec)).not.toContain('first_loss_not_ln2');
    const hinge = sampleSpec({ preference: { ...sampleSpec().preference, loss: 'hinge' } });
    expect(withMetrics({ loss: [[0, 1], [20, 0.6]] }, hinge)).not.toContain('first_loss_not_ln2');
  });
  it('tells of long chosen answers, cut answers and mixed versions', () => {
    const long = steps(sampleSpec()).map((step) => (step.key === 'pair-r1' ? { ...step, stats: { ...step.stats, lengths: { chosen: 200, rejected: 100, ratio: 2 } } } : step));
    const artifacts = input().artifacts.map((artifact, index) => ({ ...artifact, meta: { torch: `2.${String(index)}` } }));
    expect(codes(buildReport(input({ steps: long, artifacts })))).toEqual(expect.arrayContaining(['length_bias', 'mostly_unfinished', 'mixed_versions']));
  });
});

describe('renderReport', () => {
  const text = renderReport(buildReport(input()));
  it('says what moved and what did not', () => {
    expect(text).toContain('π* (improver) against π₀: reference perplexity +6.0 %, worse; chrF unchanged within 1 %.');
    expect(text).toContain('Round 1: the training loss fell by 0.0931.');
    expect(text).toContain('without error bars');
  });
  it('is tables of equal width', () => {
    for (const block of text.split('\n\n').filter((part) => part.startsWith('|'))) {
      const widths = block.trim().split('\n').map((line) => line.replaceAll(String.raw`\|`, '').split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
  });
});
