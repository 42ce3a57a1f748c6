/** The report of a study for people. */
import { dash, escapeCell, sections, table } from './markdown.ts';
import { paperNoise } from './paper-numbers.ts';
import type { PaperTable } from './paper-numbers.ts';
import { describePrompts } from './report-stats.ts';
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
    ["## Beside the paper's numbers", paper.length === 0 ? '' : aboutPaper],
    ...paper.map((of) => [`### Table ${String(of.table)}: ${of.title}`, paperTable(of, report)] as const),
    ['## What was shared', shared(report)],
    ['## Warnings', warnings(report)],
    ['## Runs', table(['method', 'preset', 'model', 'seed', 'state', 'run'], report.runs.map(({ label, preset, model, seed, state, runId }) => [label, preset, model, String(seed), state, runId]))],
  ])}\n`;
}

const aboutPaper = 'Columns called "paper" are its own numbers, measured by a judge on the models named there: compare their order with that of this study, never the numbers. '
  + `Their noise is about ±${String(paperNoise.points)} points at ${paperNoise.of}.`;

const atHand: readonly StudyMeasureName[] = ['referencePerplexity', 'chrf', 'length', 'unfinished'];

function introduction({ study, runs }: StudyReport): string {
  const missing = runs.filter(({ reported }) => !reported);
  const states = [...Map.groupBy(missing, ({ state }) => state)].map(([state, of]) => `${String(of.length)} ${state}`).join(', ');
  return `${study.id}: ${counted(runs.length, 'run')}${missing.length === 0 ? '' : `, of which ${String(missing.length)} ${missing.length === 1 ? 'has' : 'have'} no report and ${missing.length === 1 ? 'is' : 'are'} left out of every number (${states})`}. Every number is read from the reports of the runs listed at the end (GET /v1/runs/{id}/report).`;
}

const counted = (n: number, what: string): string => `${String(n)} ${what}${n === 1 ? '' : 's'}`;

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
  const prompts = methods.flatMap(({ heldOutPrompts }) => heldOutPrompts);
  const single = methods.every(({ reported }) => reported < 2);
  return [
    single ? 'One seed a method: these numbers come without error bars.' : 'Mean ± standard deviation over seeds.',
    `Held-out measures are those of the final model${prompts.length === 0 ? '' : ` on ${describePrompts(prompts)}`}; no judge compared the answers. Loss, reward accuracy and margin are those of each method on its own pairs and by its own loss: `
    + 'they tell whether a training worked, not which method is better. Teacher answers and their cost are counted where they were asked; runs that came later reused them.',
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
  return table([...head, ...atHand.map(heading), 'in the paper', ...of.columns.map(({ model, benchmark, metric }) => `paper: ${benchmark} ${metric} (%), ${model}`)], rows);
}

function shared({ steps }: StudyReport): string {
  if (steps.length === 0) return '';
  return `Of the runs that have a report.\n\n${table(['step', 'kind', 'runs', 'done', 'taken from another', 'partly', 'tasks', 'of which shared'], steps.map((step) => [
    step.key, step.kind, String(step.runs), String(step.ran), String(step.cached), String(step.partly), String(step.tasks), String(step.cachedTasks),
  ]))}`;
}

function warnings({ methods }: StudyReport): string {
  const lines = methods.flatMap(({ label, model, warnings: of, reported }) => Object.entries(of)
    .map(([code, runs]) => `- ${escapeCell(label)} (${escapeCell(model)}): **${code}** in ${String(runs)} of ${counted(reported, 'run')}`));
  return lines.length === 0 ? 'None.' : `What each says of its run stands in the report of the run.\n\n${lines.join('\n')}`;
}
