import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '@sgpo/core';
import { formatTable } from '../text-table.ts';
import { formatSeconds } from './progress.ts';

const number = (value: number | null, digits: number): string => (value === null ? '–' : value.toFixed(digits));

/** All but names. */
const numbersRight = { right: (column: number): boolean => column > 0 };

/** The report in a few lines, for the terminal. */
export function summarise(report: Report): string[] {
  const { filter, rounds, heldOut, teacher } = report;
  const kept = (['improved', 'external'] as const).flatMap((set) => {
    const of = filter?.[set] ?? null;
    return of === null ? [] : [`${set} ${String(of.kept)} of ${String(of.total)} (perplexity ${number(of.low, 1)} to ${number(of.high, 1)})`];
  });
  const models = heldOut.flatMap(({ title, measures }) => (measures === null ? [] : [[title, measures] as const]));
  return [
    ...(kept.length === 0 ? [] : [`Filter kept: ${kept.join('; ')}`]),
    ...(rounds.length === 0 ? [] : ['Preference training:', ...formatTable([
      ['round', 'pairs', 'first loss', 'final loss', 'accuracy', 'margin'],
      ...rounds.map((round) => [String(round.round), String(round.pairs ?? '–'), number(round.firstLoss, 4), number(round.finalLoss, 4), number(round.rewardAccuracy, 2), number(round.rewardMargin, 4)]),
    ], numbersRight)]),
    ...(models.length === 0 ? [] : ['Held-out prompts:', ...formatTable([
      ['model', 'ref. perplexity', 'chrF', 'tokens', 'unfinished'],
      ...models.map(([name, { referencePerplexity, chrf, length, unfinished }]) => [name, number(referencePerplexity, 3), number(chrf, 2), number(length, 1), number(unfinished, 2)]),
    ], numbersRight)]),
    ...(teacher === null ? [] : [formatTeacher(teacher)]),
    ...report.warnings.map(({ code, message }) => `Warning ${code}: ${message}`),
  ];
}

function formatTeacher({ source, calls, reused, batches, promptTokens, completionTokens, cost, costUnknown }: NonNullable<Report['teacher']>): string {
  const asked = `${String(calls)} calls${batches === 0 ? '' : ` in ${String(batches)} batches`}, ${String(reused)} answers reused, ${String(promptTokens)} prompt and ${String(completionTokens)} completion tokens`;
  return `Teacher (${source}): ${asked}, cost ${cost === null ? `unknown (${costUnknown ?? 'no price'})` : `${cost.toFixed(4)} in the currency of the price`}`;
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
