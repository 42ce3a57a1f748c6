import type { Estimate } from '@sgpo/contracts';
import { explainDropReason } from '@sgpo/core';
import { formatSeconds } from '../demo/progress.ts';
import { formatTable } from '../text-table.ts';

/** Steps without rows or tokens have none to tell. */
const count = (value: number | null): string => (value === null ? '?' : value === 0 ? '–' : String(value));
const shownDrops = 20;

/** An estimate for the terminal: rows and tokens a step, cost, what would be dropped, and the first prompts whole. */
export function formatEstimate({ steps, teacher, worker, sets, prompts, assumptions }: Estimate): string[] {
  return [
    'Steps (? is not known):',
    ...formatTable([
      ['step', 'rows', 'prompt tokens', 'completion tokens', 'time of one worker'],
      ...steps.map(({ key, kind, rows, promptTokens, completionTokens, seconds }) => [
        key, count(rows), count(promptTokens), count(completionTokens), seconds === null ? (worker.unknown.includes(kind) ? '?' : '–') : formatSeconds(seconds),
      ]),
    ], { right: (column) => column > 0 }),
    '', `Teacher: ${formatTeacher(teacher)}`,
    `Workers: ${worker.seconds === null ? 'unknown' : formatSeconds(worker.seconds)}${worker.unknown.length === 0 ? '' : ` (no past rates of ${worker.unknown.join(', ')})`}`,
    ...sets.flatMap(formatSet), ...prompts.flatMap(formatPrompts), '', 'What the numbers rest on:', ...assumptions.map((line) => `  ${line}`),
  ];
}

function formatTeacher(teacher: Estimate['teacher']): string {
  if (teacher === null) return 'none is asked';
  const { calls, promptTokens, completionTokens, cost, reason } = teacher;
  return `${String(calls)} calls, ${String(promptTokens)} prompt and ${String(completionTokens)} completion tokens, cost ${cost === null ? `unknown (${reason ?? 'no price'})` : `${cost.toFixed(4)} in the currency of the price`}`;
}

function formatSet({ space, format, rowsIn, rowsOut, dropped, flagged, drops, dropsLeftOut }: Estimate['sets'][number]): string[] {
  const reasons = Object.entries(dropped).map(([reason, rows]) => `  dropped  ${String(rows)}  ${reason}: ${explainDropReason(reason) ?? ''}`);
  const flags = Object.entries(flagged).map(([flag, rows]) => `  flagged  ${String(rows)}  ${flag}: ${explainDropReason(flag) ?? ''}`);
  // Rows beyond the limit are counted above, and not worth a list.
  const rest = Math.max(0, drops.length - shownDrops) + dropsLeftOut - (dropped['over_limit'] ?? 0);
  return [
    '', `data.${space} (${format}): ${String(rowsOut)} of ${String(rowsIn)} rows`, ...reasons, ...flags,
    ...drops.slice(0, shownDrops).map(({ file, row, reason, detail }) => `    ${file === null ? '' : `${file} `}row ${String(row)}: ${reason}: ${detail}`), ...(rest <= 0 ? [] : [`    … and ${String(rest)} more`]),
  ];
}

function formatPrompts({ prompt, step, rows, placeholders }: Estimate['prompts'][number]): string[] {
  return [
    '', `Prompt ${prompt} of ${step}:`, ...placeholders.map((line) => `  (${line})`),
    ...rows.flatMap(({ id, messages }) => [`  ── row ${id}`, ...messages.flatMap(({ role, content }) => [`  ${role}:`, ...content.split('\n').map((line) => `    ${line}`)])]),
  ];
}
