/** The report for people: the same numbers as the JSON, and what they do and do not say. */
import { code, dash, escapeCell, number, percent, seconds, sections, table, whole } from './markdown.ts';
import { renderDropped, renderRules, renderTrainingSet, renderPairs } from './report-markdown-rows.ts';
import { renderTrainings } from './report-markdown-training.ts';
import { describePrompts, heldOutPrompts } from './report-stats.ts';
import type { Report, ReportTeacher } from './report-types.ts';

/** Markdown with tables. Every statement is a comparison of numbers of the report. What a recipe has not is left out. */
export function renderReport(report: Report): string {
  const { run, warnings } = report;
  return `${sections([
    [`# Run ${run.id}`, `Preset ${code(run.preset)}, seed ${String(run.seed)}: ${run.status}${run.seconds === null ? '' : ` ${seconds(run.seconds)} after its start, waits for workers and other runs included`}. Its whole spec: GET /v1/runs/${run.id}.`],
    ['## What moved', [heldOut(report), preference(report)].filter((part) => part !== '').join('\n\n')],
    ['## Warnings', warnings.length === 0 ? 'None.' : warnings.map((warning) => `- **${warning.code}**: ${escapeCell(warning.message)}`).join('\n')],
    ['## Steps', steps(report)],
    ['## Rows left out and rows flagged', renderDropped(report)],
    ['## Rules in force', renderRules(report)],
    ['## Improver training set', renderTrainingSet(report)],
    ['## Preference pairs', renderPairs(report)],
    ['## Trainings', renderTrainings(report)],
    ['## Teacher', report.teacher === null ? '' : teacher(report.teacher)],
    ['## Artifacts', artifacts(report)],
    ['## Provenance', provenance(report)],
  ])}\n`;
}

/** Changes under one part in a hundred are called unchanged. */
const noticeable = 0.01;

function compare(value: number | null, start: number | null, lowerIsBetter: boolean): string {
  if (value === null || start === null || start === 0) return 'not measured';
  const change = (value - start) / start;
  if (Math.abs(change) < noticeable) return 'unchanged within 1 %';
  return `${change > 0 ? '+' : ''}${(100 * change).toFixed(1)} %, ${change < 0 === lowerIsBetter ? 'better' : 'worse'}`;
}

function heldOut({ heldOut: models, steps: measured }: Report): string {
  if (models.every(({ measures }) => measures === null)) return 'No held-out set was evaluated: this run cannot say whether its models got better.';
  const rows = models.map(({ title, measures }) => [
    title, number(measures?.referencePerplexity ?? null, 3), number(measures?.chrf ?? null, 2), number(measures?.length ?? null, 1), percent(measures?.unfinished ?? null),
  ]);
  const [start, ...others] = models;
  const statements = others.map(({ title, measures }) => {
    const perplexity = compare(measures?.referencePerplexity ?? null, start?.measures?.referencePerplexity ?? null, true);
    return `- ${title} against ${start?.title ?? dash}: reference perplexity ${perplexity}; chrF ${compare(measures?.chrf ?? null, start?.measures?.chrf ?? null, false)}.`;
  });
  return [
    table(['model', 'reference perplexity (lower is better)', 'chrF (higher is better)', 'tokens an answer', 'unfinished'], rows),
    ...(statements.length === 0 ? [] : [statements.join('\n')]),
    `${describePrompts(heldOutPrompts(measured))}, one run with one seed: these differences come without error bars, and no judge compared the answers.`,
  ].join('\n\n');
}

function preference({ rounds }: Report): string {
  if (rounds.length === 0) return '';
  const rows = rounds.map((round) => [
    String(round.round), `${round.trainer}: ${round.losses.join(' + ')}`, round.policy, round.reference ?? 'none', whole(round.pairs),
    number(round.firstLoss, 4), number(round.finalLoss, 4), percent(round.rewardAccuracy),
    number(round.firstMargin, 4), number(round.rewardMargin, 4), number(round.chosenLogp, 2), number(round.rejectedLogp, 2),
  ]);
  const statements = rounds.map(({ round, firstLoss, finalLoss }) => {
    if (firstLoss === null || finalLoss === null) return `- Round ${String(round)}: the loss was not recorded at both ends.`;
    const moved = Math.abs(finalLoss - firstLoss) < noticeable ? 'did not move by 0.01 or more' : `${finalLoss < firstLoss ? 'fell' : 'rose'} by ${Math.abs(finalLoss - firstLoss).toFixed(4)}`;
    return `- Round ${String(round)}: the training loss ${moved}.`;
  });
  return [
    'Preference optimisation (final values are those logged last):',
    table(['round', 'trainer: loss', 'starts from', 'reference', 'pairs', 'first loss', 'final loss', 'reward accuracy', 'first margin', 'final margin', 'chosen log-prob', 'rejected log-prob'], rows),
    statements.join('\n'),
  ].join('\n\n');
}

function steps(report: Report): string {
  const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((total, n) => total + n, 0);
  return table(['step', 'kind', 'status', 'tasks', 'cached', 'time', 'rows in', 'rows out', 'dropped'], report.steps.map((step) => [
    step.key, step.kind, step.status, String(step.tasks), String(step.cached), seconds(step.seconds), whole(step.rowsIn), whole(step.rowsOut), String(sum(step.dropped)),
  ]));
}

const sources: Readonly<Record<ReportTeacher['source'], string>> = { endpoint: 'An endpoint', fleet: 'Weights that the workers sample', policy: 'The initial policy itself' };

function teacher(of: ReportTeacher): string {
  const { source, model, mode, calls, reused, batches, promptTokens, completionTokens, cost, costUnknown, budget, budgetPauses } = of;
  const who = `${sources[source]}${model === null ? '' : ` (${code(escapeCell(model))}, ${mode === 'batch' ? `${String(batches)} batches` : 'one request a row'})`}.`;
  const used = `${String(calls)} answers made, ${String(reused)} reused, ${String(promptTokens)} prompt tokens, ${String(completionTokens)} completion tokens.`;
  const price = cost === null ? `The cost is unknown: ${costUnknown ?? 'no reason is on record'}.` : `Cost: ${cost.toFixed(4)} in the currency of the price.`;
  const limits = [...(budget.tokens === null ? [] : [`${String(budget.tokens)} tokens`]), ...(budget.cost === null ? [] : [`${String(budget.cost)} in currency`])];
  const paused = budgetPauses === 0 ? 'it was never reached' : `the run paused ${budgetPauses === 1 ? 'once' : `${String(budgetPauses)} times`} until it was raised`;
  return `${who} ${used} ${price}${limits.length === 0 ? '' : ` Budget: ${limits.join(' and ')}; ${paused}.`}`;
}

function artifacts(report: Report): string {
  return table(['step', 'kind', 'rows', 'bytes', 'digest', 'folder'], report.artifacts.map(({ role, kind, rows, bytes, digest, path }) => [
    role, kind, whole(rows), String(bytes), code(digest.slice(0, 12)), code(path),
  ]));
}

function provenance({ provenance: entries, versions }: Report): string {
  const software = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(' · ');
  return [
    software === '' ? 'No software versions were recorded.' : `Software: ${escapeCell(software)}`,
    table(['step', 'seed', 'prompt text', 'engine'], entries.filter(({ seed, promptHash, engine }) => seed !== null || promptHash !== null || engine !== null).map((entry) => [
      entry.role, whole(entry.seed), entry.promptHash === null ? dash : code(entry.promptHash.slice(0, 12)), entry.engine ?? dash,
    ])),
  ].join('\n\n');
}
