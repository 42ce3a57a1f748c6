/** A preview for people. Texts of rows and models are untrusted: each stands in a fence that it cannot close. */
import type { PreviewResult, PreviewRow } from './preview.ts';

const titles: Readonly<Record<PreviewRow['space'], string>> = { improver: 'Improver set', policy: 'Policy set', preferences: 'Given pairs' };

export function renderPreview(result: PreviewResult): string {
  const { calls, promptTokens, completionTokens, cost } = result.spent;
  const spaces = [...new Set(result.rows.map(({ space }) => space))];
  const parts = [
    '# Preview',
    `Teacher: ${String(calls)} answers paid, ${String(promptTokens)} prompt and ${String(completionTokens)} completion tokens, cost ${cost === null ? 'unknown: no price is known' : `${cost.toFixed(6)} in the currency of the price`}.`,
    result.notes.map((note) => `- ${note}`).join('\n'),
    ...spaces.flatMap((space) => [`## ${titles[space]}`, ...result.rows.filter((row) => row.space === space).map(renderRow)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function renderRow(row: PreviewRow): string {
  const verdicts = Object.entries(row.verdicts).map(([name, verdict]) => `${name}: ${verdict}`).join(', ');
  const texts: readonly (readonly [string, string | null])[] = [
    ...row.prompt.map(({ role, content }) => [`prompt (${role})`, content] as const), ['y_sft', row.reference], ['y₀', row.draft],
    [`ŷ${withPerplexity(row.perplexity.improved)}`, row.improved], [`y_ext${withPerplexity(row.perplexity.external)}`, row.external],
    [row.space === 'policy' ? 'chosen (y⁺, or y_sft)' : 'chosen', row.chosen], [row.space === 'policy' ? 'rejected (y)' : 'rejected', row.rejected],
  ];
  return [`### ${row.id} – ${verdicts}`, ...texts.flatMap(([title, text]) => (text === null ? [] : [`**${title}**`, fenced(text)]))].join('\n\n');
}

const withPerplexity = (value: number | null): string => (value === null ? '' : `, perplexity ${value.toFixed(2)}`);

function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
