/** The methods of a study side by side, as Tables 3 to 7 of arXiv 2507.20181 set them. Built from the reports of its runs, and from nothing else. */
import { paperTables } from './paper-numbers.ts';
import type { PaperTable } from './paper-numbers.ts';
import { heldOutPrompts } from './report-stats.ts';
import type { Report, ReportStep } from './report-types.ts';
import type { RunState } from './states.ts';
import { studyMeasureNames, studyMeasures } from './study-measures.ts';
import type { StudyMeasureName } from './study-measures.ts';

/** A run of a study. `label` and `model` name its method; runs of one method differ in their seed. */
export interface StudyRun {
  readonly entry: { readonly label: string; readonly preset: string; readonly model: string; readonly seed: number };
  readonly state: RunState;
  readonly runId: string;
  /** null: it has none, or not yet. */
  readonly report: Report | null;
}
export interface StudyReportInput { readonly study: { readonly id: string; readonly name: string }; readonly runs: readonly StudyRun[] }

/** Over the seeds that have the number. `sd`: sample standard deviation (n − 1); null for a single seed. */
export interface Spread { readonly mean: number; readonly sd: number | null; readonly n: number }

export interface StudyMethod {
  readonly label: string; readonly preset: string; readonly model: string;
  readonly seeds: readonly number[];
  /** Runs with a report, which alone are measured. */
  readonly reported: number;
  /** Prompts behind the held-out measures, one number a model that was evaluated. */
  readonly heldOutPrompts: readonly number[];
  readonly measures: Readonly<Record<StudyMeasureName, Spread | null>>;
  /** Label of the method of this model it is compared with: the first with preset sft, else the first of all. null: it is that one. */
  readonly baseline: string | null;
  /** Mean minus the baseline's mean. */
  readonly differences: Readonly<Record<StudyMeasureName, number | null>>;
  /** Code → runs that have such a warning. */
  readonly warnings: Readonly<Record<string, number>>;
}

/** What a step cost the study: in how many runs it was done, taken from another run (or an earlier one), or partly so; and its tasks. */
export interface StudyStep {
  readonly key: string; readonly kind: ReportStep['kind']; readonly runs: number;
  readonly ran: number; readonly cached: number; readonly partly: number; readonly tasks: number; readonly cachedTasks: number;
}

export interface StudyReport {
  readonly study: { readonly id: string; readonly name: string };
  readonly runs: readonly (StudyRun['entry'] & { readonly runId: string; readonly state: RunState; readonly reported: boolean })[];
  readonly methods: readonly StudyMethod[];
  readonly steps: readonly StudyStep[];
  /** The paper's rows of tables that have at least two of the study's presets; judges measured them on other models. */
  readonly paper: readonly PaperTable[];
}

/** Methods in the order of their first run; steps in the order they are first met. */
export function buildStudyReport({ study, runs }: StudyReportInput): StudyReport {
  const groups = Map.groupBy(runs, ({ entry }) => JSON.stringify([entry.label, entry.model]));
  const measured = [...groups.values()].map(measureMethod);
  return {
    study: { id: study.id, name: study.name },
    runs: runs.map(({ entry: { label, preset, model, seed }, runId, state, report }) => ({ label, preset, model, seed, runId, state, reported: report !== null })),
    methods: measured.map((method) => compareMethod(method, measured)),
    steps: sharedSteps(runs),
    paper: paperTables.map((table) => ({ ...table, rows: table.rows.filter(({ preset }) => runs.some(({ entry }) => entry.preset === preset)) })).filter(({ rows }) => rows.length >= 2),
  };
}

type MeasuredMethod = Omit<StudyMethod, 'baseline' | 'differences'>;

const forEachMeasure = <Value>(make: (name: StudyMeasureName) => Value): Record<StudyMeasureName, Value> =>
  Object.fromEntries(studyMeasureNames.map((name) => [name, make(name)])) as Record<StudyMeasureName, Value>;

function measureMethod(runs: readonly StudyRun[]): MeasuredMethod {
  const [first] = runs;
  if (first === undefined) throw new TypeError('a method without runs');
  const { label, preset, model } = first.entry;
  const reports = runs.flatMap(({ report }) => (report === null ? [] : [report]));
  const warnings: Record<string, number> = {};
  for (const report of reports) for (const code of new Set(report.warnings.map((warning) => warning.code))) warnings[code] = (warnings[code] ?? 0) + 1;
  return {
    label, preset, model, seeds: runs.map(({ entry }) => entry.seed), reported: reports.length, heldOutPrompts: reports.flatMap(({ steps }) => heldOutPrompts(steps)), warnings,
    measures: forEachMeasure((name) => spreadOf(reports.flatMap((report) => studyMeasures[name].read(report) ?? []))),
  };
}

/** null without values. */
function spreadOf(values: readonly number[]): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  return { mean, sd: n === 1 ? null : Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)), n };
}

function compareMethod(method: MeasuredMethod, all: readonly MeasuredMethod[]): StudyMethod {
  const peers = all.filter(({ model }) => model === method.model);
  const baseline = peers.find(({ preset }) => preset === 'sft') ?? peers[0];
  if (baseline === undefined || baseline === method) return { ...method, baseline: null, differences: forEachMeasure(() => null) };
  return {
    ...method, baseline: baseline.label,
    differences: forEachMeasure((name) => {
      const [own, other] = [method.measures[name], baseline.measures[name]];
      return own === null || other === null ? null : own.mean - other.mean;
    }),
  };
}

function sharedSteps(runs: readonly StudyRun[]): StudyStep[] {
  const steps = Map.groupBy(runs.flatMap(({ report }) => report?.steps ?? []), ({ key }) => key);
  return [...steps.values()].flatMap((met) => {
    const [first] = met;
    if (first === undefined) return [];
    const count = (is: (step: ReportStep) => boolean): number => met.filter(is).length;
    return [{
      key: first.key, kind: first.kind, runs: met.length,
      ran: count(({ cached }) => cached === 0), cached: count(({ cached, tasks }) => cached > 0 && cached === tasks), partly: count(({ cached, tasks }) => cached > 0 && cached < tasks),
      tasks: met.reduce((sum, { tasks }) => sum + tasks, 0), cachedTasks: met.reduce((sum, { cached }) => sum + cached, 0),
    }];
  });
}
