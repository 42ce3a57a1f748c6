import { describe, expect, it } from 'vitest';
import { paperTables } from './paper-numbers.ts';
import { presetNames } from './recipes.ts';
import type { PresetName } from './recipes.ts';
import type { Report } from './report-types.ts';
import { buildReport } from './report.ts';
import { studyMeasureNames } from './study-measures.ts';
import { renderStudyReport } from './study-report-markdown.ts';
import { buildStudyReport } from './study-report.ts';
import type { StudyRun } from './study-report.ts';
import { reportInput } from './testing/sample-report.ts';
import { presetSpec } from './testing/sample-spec.ts';

const study = { id: 'stu_1', name: 'all of them' };

/** A run of a preset whose final model has this reference perplexity. */
function run(preset: PresetName, options: { readonly seed?: number; readonly model?: string; readonly perplexity?: number; readonly cached?: readonly string[] } = {}): StudyRun {
  const { seed = 0, model = '/models/m', perplexity = 9, cached = [] } = options;
  const label = preset;
  const spec = presetSpec(preset, { seed });
  const input = reportInput({}, spec);
  const built = buildReport({ ...input, steps: input.steps.map((step) => ({ ...step, tasks: [{ state: cached.includes(step.key) ? 'cached' as const : 'succeeded' as const }] })) });
  const heldOut = built.heldOut.map((of, index) => (index === built.heldOut.length - 1 ? { ...of, measures: { referencePerplexity: perplexity, chrf: 30, length: 50, unfinished: 0 } } : of));
  const report: Report = { ...built, heldOut };
  return { entry: { label, preset, model, seed }, state: 'succeeded', runId: `run_${label}_${String(seed)}`, report };
}
const methodOf = (built: ReturnType<typeof buildStudyReport>, label: string) => built.methods.find((method) => method.label === label)!;

describe('buildStudyReport', () => {
  it('takes mean and sample standard deviation over seeds', () => {
    const built = buildStudyReport({ study, runs: [1, 2, 3].map((seed) => run('sgpo', { seed, perplexity: 6 + seed })) });
    expect(built.methods).toHaveLength(1);
    expect(built.methods[0]).toMatchObject({ label: 'sgpo', preset: 'sgpo', model: '/models/m', seeds: [1, 2, 3], reported: 3, baseline: null });
    expect(built.methods[0]?.measures.referencePerplexity).toEqual({ mean: 8, sd: 1, n: 3 });
    expect(built.methods[0]?.measures.pairs).toEqual({ mean: 45, sd: 0, n: 3 });
  });
  it('reads every measure, and none that a recipe has not', () => {
    const built = buildStudyReport({ study, runs: [run('sgpo'), run('sft')] });
    expect(studyMeasureNames.filter((name) => methodOf(built, 'sgpo').measures[name] === null)).toEqual([]);
    expect(Object.fromEntries(studyMeasureNames.map((name) => [name, methodOf(built, 'sgpo').measures[name]?.mean]))).toEqual({
      referencePerplexity: 9, chrf: 30, length: 50, unfinished: 0, pairs: 45, finalLoss: 0.6, rewardAccuracy: 0.7, rewardMargin: 0.2, chosenToRejected: 12.5, chosenToReference: 12.5, lengthRatio: 1.2,
      improvedToDraft: 12.5, improvedToReference: 20, keptImproved: 45, keptExternal: 40, teacherCalls: 80, teacherReused: 16, teacherCost: 0.5, seconds: 60,
      tasks: methodOf(built, 'sgpo').measures.tasks?.mean, cachedTasks: 0, warnings: 2,
    });
    expect(studyMeasureNames.filter((name) => methodOf(built, 'sft').measures[name] !== null)).toEqual(['referencePerplexity', 'chrf', 'length', 'unfinished', 'seconds', 'tasks', 'cachedTasks', 'warnings']);
    expect(methodOf(built, 'sgpo').measures.referencePerplexity?.sd).toBeNull();
  });
  it('compares with sft of the same model, else with the first', () => {
    const runs = [run('sgpo', { perplexity: 8 }), run('sft', { perplexity: 10 }), run('spin', { perplexity: 12 }), run('sgpo', { model: '/models/n', perplexity: 3 }), run('spin', { model: '/models/n', perplexity: 5 })];
    const built = buildStudyReport({ study, runs });
    expect(built.methods.map(({ label, model, baseline, differences }) => [label, model, baseline, differences.referencePerplexity])).toEqual([
      ['sgpo', '/models/m', 'sft', -2], ['sft', '/models/m', null, null], ['spin', '/models/m', 'sft', 2], ['sgpo', '/models/n', null, null], ['spin', '/models/n', 'sgpo', 2],
    ]);
    expect(built.methods[2]?.differences.finalLoss).toBeNull();
  });
  it('leaves runs without a report out of every number, and says so', () => {
    const failed: StudyRun = { ...run('sgpo', { seed: 2, perplexity: 1_000 }), state: 'failed', report: null };
    const built = buildStudyReport({ study, runs: [run('sgpo', { seed: 1 }), failed] });
    expect(built.methods[0]).toMatchObject({ seeds: [1, 2], reported: 1, measures: { referencePerplexity: { mean: 9, sd: null, n: 1 } } });
    expect(built.runs.map(({ state, reported }) => [state, reported])).toEqual([['succeeded', true], ['failed', false]]);
    expect(renderStudyReport(built)).toContain('2 runs, of which 1 has no report and is left out of every number (1 failed)');
  });
  it('tells of each step in how many runs it was done and how often shared', () => {
    const shared = ['generate-y0', 'teach-external', 'score-external'];
    const built = buildStudyReport({ study, runs: [run('sgpo'), run('sgpo-v2', { cached: shared }), run('sgpo-external', { cached: [...shared, 'train-improver'] }), run('spin')] });
    const step = (key: string) => built.steps.find((of) => of.key === key);
    expect(step('generate-y0')).toEqual({ key: 'generate-y0', kind: 'generate', runs: 3, ran: 1, cached: 2, partly: 0, tasks: 3, cachedTasks: 2 });
    expect(step('teach-improved')).toMatchObject({ runs: 1, ran: 1, cached: 0 });
    expect(step('train-improver')).toMatchObject({ runs: 3, ran: 2, cached: 1 });
    expect(step('dpo-r1')).toMatchObject({ runs: 4, ran: 4 });
    expect(renderStudyReport(built)).toContain('| generate-y0 | generate | 3 | 1 | 2 | 0 | 3 | 2 |');
  });
  it('sets the paper\'s rows beside tables it has two presets of', () => {
    const tables = (...names: PresetName[]) => buildStudyReport({ study, runs: names.map((name) => run(name)) }).paper.map(({ table, rows }) => [table, rows.map(({ preset }) => preset)]);
    expect(tables('sgpo')).toEqual([]);
    expect(tables('sgpo', 'sgpo-v2')).toEqual([[5, ['sgpo-v2', 'sgpo']]]);
    expect(tables('sft', 'sgpo', 'sgpo+step2')).toEqual([[3, ['sft', 'sgpo']], [6, ['sft', 'sgpo', 'sgpo+step2']]]);
    expect(tables(...presetNames).map(([table]) => table)).toEqual([3, 4, 5, 6, 7]);
  });
  it('has no numbers of nothing, and survives JSON', () => {
    const none = buildStudyReport({ study, runs: [] });
    expect(none).toMatchObject({ methods: [], steps: [], paper: [], runs: [] });
    expect(renderStudyReport(none)).toContain('The study has no runs.');
    const all = buildStudyReport({ study, runs: presetNames.map((name) => run(name)) });
    expect(JSON.parse(JSON.stringify(all))).toEqual(all);
  });
});

describe('renderStudyReport', () => {
  const text = renderStudyReport(buildStudyReport({ study, runs: presetNames.flatMap((name) => [1, 2].map((seed) => run(name, { seed, perplexity: 8 + seed }))) }));
  it('has one table of all methods and one for each table of the paper', () => {
    for (const heading of ['## Methods', ...[3, 4, 5, 6, 7].map((table) => `### Table ${String(table)}:`), '## What was shared']) expect(text).toContain(heading);
    expect(text).toContain(`| measure | ${presetNames.join(' | ')} |`);
    expect(text).toContain(`| reference perplexity (lower is better) | ${presetNames.map(() => '9.500 ± 0.707').join(' | ')} |`);
    expect(text).toContain('| sgpo | 2 | sft | 0.000 |');
    expect(text).toContain('| spin | 2 | 9.500 ± 0.707 | 30.00 ± 0.00 | 50.0 ± 0.0 | 0.000 ± 0.000 | SPIN | 7.45 | 5.78 |');
    expect(text).toContain('compare their order with that of this study, never the numbers');
    expect(text.match(/about ±1\.3 points/g)).toHaveLength(1);
    expect(text).toContain('those of the final model on 45 held-out prompts');
    expect(text).toContain('not which method is better');
  });
  it('prints the paper\'s numbers as the paper does', () => {
    expect(text).toMatch(/\| SGPO⋄ \| 15\.00 \| 10\.23 \|/);
    expect(text).toMatch(/\| SFT \| 5\.8 \| 4\.0 \| 7\.7 \| 7\.3 \| 4\.7 \| 4\.9 \|/);
  });
  it('is tables of equal width', () => {
    for (const block of text.split('\n\n').filter((part) => part.startsWith('|'))) {
      const widths = block.trim().split('\n').map((line) => line.replaceAll(String.raw`\|`, '').split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
  });
});

describe('paperTables', () => {
  it('have a value for each column, of presets that exist, and every preset somewhere', () => {
    for (const { columns, rows } of paperTables) for (const { values } of rows) expect(values).toHaveLength(columns.length);
    expect(new Set(paperTables.flatMap(({ rows }) => rows.map(({ preset }) => preset)))).toEqual(new Set(presetNames));
  });
  it('agree where they repeat each other, to the digits both have', () => {
    const rounded = new Map<string, number>();
    for (const { columns, rows } of paperTables) {
      for (const { preset, values } of rows) {
        for (const [index, { model, benchmark, metric }] of columns.entries()) {
          const key = [preset, model, benchmark, metric].join();
          const value = values[index]!;
          const before = rounded.get(key);
          if (before !== undefined) expect(Math.abs(before - value), key).toBeLessThanOrEqual(0.05 + 1e-9);
          rounded.set(key, value);
        }
      }
    }
  });
});
