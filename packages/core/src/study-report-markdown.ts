/** The report of a study for people. */
import { dash, escapeCell, sections, table } from './markdown.ts';
import { paperNoise } from './paper-numbers.ts';
import type { PaperTable } from './paper-numbers.ts';
import { studyMeasureNames, studyMeasureOf } from './study-measures.ts';
import type { StudyMeasureName } from './study-measures.ts';
import type { Spread, StudyMethod, StudyReport } from './study-report.ts';

/** One table of all methods, one for each of the paper's tables that the study has two rows of, and what was shared. */
export function renderStudyReport(report: StudyReport): string {
  const { study, methods, paper } = report;
  return `${sections([
    [`# Study ${escapeCell(study.name)}`, introduction(report)],
    ['## Methods', methods.length === 0 ? 'The study has no runs.' : `${overall(report)}\n\n${notes(report)}`],
    ['## Differences', differences(report)],
    ...paper.map((of) => [`## Rows of Table ${String(of.table)}: ${of.title}`, paperTable(of, report)] as const),
    ['## What was shared', shared(report)],
    ['## Warnings', warnings(report)],
    ['## Runs', table(['method', 'preset', 'model', 'seed', 'state', 'run'], report.runs.map(({ label, preset, model, seed, state, runId }) => [label, preset, model, String(seed), state, runId]))],
  ])}\n`;
}

const atHand: readonly StudyMeasureName[] = ['referencePerplexity', 'chrf', 'length', 'unfinished'];

function introduction({ study, runs }: StudyReport): string {
  const missing = runs.filter(({ reported }) => !reported);
  const states = [...Map.groupBy(missing, ({ state }) => state)].map(([state, of]) => `${String(of.length)} ${state}`).join(', ');
  return `${study.id}: ${String(runs.length)} runs${missing.length === 0 ? '' : `, of which ${String(missing.length)} have no report and are left out of every number (${states})`}.`;
}

/** ± the standard deviation over seeds. */
function spread(value: Spread | null, digits: number): string {
  if (value === null) return dash;
  return value.sd === null ? value.mean.toFixed(digits) : `${value.mean.toFixed(digits)} ± ${value.sd.toFixed(digits)}`;
}

const cell = (method: StudyMethod, name: StudyMeasureName): string => spread(method.measures[name], studyMeasureOf(name).digits);

function heading(name: StudyMeasureName): string {
  const { title, better } = studyMeasureOf(name);
  return better === null ? title : `${title} (${better} is better)`;
}

/** The model stands in its own column where there are several. */
function named({ methods }: StudyReport): { readonly head: readonly string[]; readonly cells: (method: StudyMethod) => readonly string[] } {
  const several = new Set(methods.map(({ model }) => model)).size > 1;
  return { head: ['method', ...(several ? ['model'] : []), 'seeds'], cells: ({ label, model, reported }) => [label, ...(several ? [model] : []), String(reported)] };
}

/** A column a method, for there are more measures than anybody reads across; measures that at least one method has. */
function overall(report: StudyReport): string {
  const several = new Set(report.methods.map(({ model }) => model)).size > 1;
  const present = studyMeasureNames.filter((name) => report.methods.some(({ measures }) => measures[name] !== null));
  return table(['measure', ...report.methods.map(({ label, model }) => (several ? `${label}, ${model}` : label))], [
    ['seeds', ...report.methods.map(({ reported }) => String(reported))],
    ...present.map((name) => [heading(name), ...report.methods.map((method) => cell(method, name))]),
  ]);
}

function notes({ methods }: StudyReport): string {
  const single = methods.every(({ reported }) => reported < 2);
  return [
    single ? 'One seed a method: these numbers come without error bars.' : 'Mean ± standard deviation over seeds.',
    'Held-out measures are those of the final model; no judge compared the answers. Losses and margins of different losses cannot be compared with each other.',
  ].join(' ');
}

function differences(report: StudyReport): string {
  const compared = report.methods.filter(({ baseline, reported }) => baseline !== null && reported > 0);
  if (compared.length === 0) return '';
  const { head, cells } = named(report);
  return table([...head, 'compared with', ...atHand.map(heading)], compared.map((method) => [...cells(method), method.baseline ?? dash, ...atHand.map((name) => {
    const difference = method.differences[name];
    return difference === null ? dash : `${difference > 0 ? '+' : ''}${difference.toFixed(studyMeasureOf(name).digits)}`;
  })]));
}

function paperTable(of: PaperTable, report: StudyReport): string {
  const { head, cells } = named(report);
  const rows = of.rows.flatMap(({ preset, name, values }) => report.methods.filter((method) => method.preset === preset).map((method) => [
    ...cells(method), ...atHand.map((measure) => cell(method, measure)), name, ...values.map((value) => value.toFixed(of.digits)),
  ]));
  return [
    table([...head, ...atHand.map(heading), 'in the paper', ...of.columns.map(({ model, benchmark, metric }) => `paper: ${benchmark} ${metric} (%), ${model}`)], rows),
    'The columns of the paper are its own numbers, measured by a judge on the models named there: compare their order with that of this study, never the numbers. '
    + `Their noise is about ±${String(paperNoise.points)} points at ${paperNoise.of}.`,
  ].join('\n\n');
}

function shared({ steps }: StudyReport): string {
  if (steps.length === 0) return '';
  return table(['step', 'kind', 'runs', 'done', 'taken from another', 'partly', 'tasks', 'of which shared'], steps.map((step) => [
    step.key, step.kind, String(step.runs), String(step.ran), String(step.cached), String(step.partly), String(step.tasks), String(step.cachedTasks),
  ]));
}

function warnings({ methods }: StudyReport): string {
  const lines = methods.flatMap(({ label, model, warnings: of, reported }) => Object.entries(of)
    .map(([code, runs]) => `- ${escapeCell(label)} (${escapeCell(model)}): **${code}** in ${String(runs)} of ${String(reported)} runs`));
  return lines.length === 0 ? 'None.' : lines.join('\n');
}
