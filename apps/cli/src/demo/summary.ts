import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '@sgpo/core';
import { formatSeconds } from './progress.ts';

const number = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`.trimEnd());
}

/** The report in a few lines, for the terminal. */
export function summarise(report: Report): string[] {
  const { filter, rounds, heldOut, teacher } = report;
  const kept = (['improved', 'external'] as const).flatMap((set) => {
    const of = filter[set];
    return of === null ? [] : [`${set} ${String(of.kept)} of ${String(of.total)} (perplexity ${number(of.low, 1)} to ${number(of.high, 1)})`];
  });
  const models = [
    ...(heldOut.pi0 === null ? [] : [['π₀', heldOut.pi0] as const]), ...(heldOut.improver === null ? [] : [['improver', heldOut.improver] as const]),
    ...heldOut.rounds.flatMap((measures, index) => (measures === null ? [] : [[`round ${String(index + 1)}`, measures] as const])),
  ];
  return [
    ...(kept.length === 0 ? [] : [`Filter kept: ${kept.join('; ')}`]),
    ...(rounds.length === 0 ? [] : ['Preference training:', ...table([
      ['round', 'pairs', 'first loss', 'final loss', 'accuracy', 'margin'],
      ...rounds.map((round) => [String(round.round), String(round.pairs ?? '–'), number(round.firstLoss, 4), number(round.finalLoss, 4), number(round.rewardAccuracy, 2), number(round.rewardMargin, 4)]),
    ])]),
    ...(models.length === 0 ? [] : ['Held-out prompts:', ...table([
      ['model', 'ref. perplexity', 'chrF', 'tokens', 'unfinished'],
      ...models.map(([name, { referencePerplexity, chrf, length, unfinished }]) => [name, number(referencePerplexity, 3), number(chrf, 2), number(length, 1), number(unfinished, 2)]),
    ])]),
    `Teacher: ${String(teacher.calls)} calls, ${String(teacher.reused)} answers reused, ${String(teacher.promptTokens)} + ${String(teacher.completionTokens)} tokens, cost ${teacher.cost === null ? 'unknown (no price in the spec)' : teacher.cost.toFixed(4)}`,
    ...report.warnings.map(({ code, message }) => `Warning ${code}: ${message}`),
  ];
}

/** Where the results lie: the models, and the report in both its forms. */
export function locate(report: Report, reportFolder: string, seconds: number): string[] {
  const models = report.artifacts.filter(({ kind }) => kind === 'model');
  const width = Math.max(0, ...models.map(({ role }) => role.length), 'report.json'.length);
  return [
    ...models.map(({ role, path }) => `  ${role.padEnd(width)}  ${path}`),
    ...['report.json', 'report.md'].filter((file) => existsSync(join(reportFolder, file))).map((file) => `  ${file.padEnd(width)}  ${join(reportFolder, file)}`),
    `  ${'time'.padEnd(width)}  ${formatSeconds(seconds)}`,
  ];
}
