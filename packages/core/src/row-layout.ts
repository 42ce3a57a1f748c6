/** Which format the rows of a file have: told by columns, and by the first rows where columns do not tell. */
import type { RowSpace } from './plan.ts';
import type { RowFormat } from './row-formats.ts';

export type RawRow = Readonly<Record<string, unknown>>;

/** How the rows of one file are read. */
export interface RowLayout {
  readonly format: RowFormat;
  /** The format was named: a row of another one is no row. Otherwise each row may have its own. */
  readonly named: boolean;
  /** Column the format reads → column of the file. */
  readonly columns: Readonly<Record<string, string>> | null;
  /** Columns of the chosen and the rejected side's score, when the file has any. */
  readonly scores: readonly [string, string] | null;
}

/** Groups of columns of which a row needs one each. */
const needs: Readonly<Record<RowFormat, readonly (readonly string[])[]>> = {
  'preference-messages': [['chosen'], ['rejected']],
  'ultrafeedback': [['prompt'], ['chosen'], ['rejected']],
  'tulu3-preference': [['prompt'], ['chosen'], ['rejected']],
  'messages': [['messages', 'conversations']],
  'sharegpt': [['conversations', 'messages']],
  'prompt-response': [['prompt'], ['response', 'completion', 'reference']],
  'instruction': [['instruction'], ['output']],
  'helpsteer3': [['context'], ['response1'], ['response2'], ['overall_preference']],
};
const scoreColumns = [['score_chosen', 'score_rejected'], ['chosen_rating', 'rejected_rating']] as const;
const pairFormats: readonly RowFormat[] = ['preference-messages', 'ultrafeedback', 'tulu3-preference', 'helpsteer3'];

/** Formats that can fill a set: pairs are given by preference rows alone; of those, other sets take the chosen side. */
export const fillsSpace = (format: RowFormat, space: RowSpace): boolean => space !== 'preferences' || pairFormats.includes(format);

/** Columns that a format reads and these do not have, as `a` or `a or b`. */
export const missingColumns = (format: RowFormat, columns: readonly string[]): readonly string[] =>
  needs[format].filter((group) => !group.some((name) => columns.includes(name))).map((group) => group.join(' or '));

/** The format with these columns, or null. Columns it does not need are allowed. `rows` tell what a column of conversations holds. */
export function detectFormat(columns: readonly string[], rows: readonly RawRow[] = []): RowFormat | null {
  const has = (name: string): boolean => columns.includes(name);
  const fits = (format: RowFormat): boolean => needs[format].every((group) => group.some(has));
  if (fits('helpsteer3')) return 'helpsteer3';
  if (fits('ultrafeedback')) {
    const tulu = ['chosen_rating', 'rejected_rating', 'chosen_model', 'rejected_model'].some(has) && !has('score_chosen');
    return tulu ? 'tulu3-preference' : 'ultrafeedback';
  }
  if (fits('preference-messages')) return 'preference-messages';
  if (fits('prompt-response')) return 'prompt-response';
  if (fits('messages')) return conversationFormat(has('messages') ? 'messages' : 'conversations', rows);
  return fits('instruction') ? 'instruction' : null;
}

function conversationFormat(column: 'messages' | 'conversations', rows: readonly RawRow[]): RowFormat {
  for (const row of rows) {
    const turns = row[column];
    const first: unknown = Array.isArray(turns) ? turns[0] : undefined;
    if (!isRecord(first)) continue;
    return 'from' in first && !('role' in first) ? 'sharegpt' : 'messages';
  }
  return column === 'messages' ? 'messages' : 'sharegpt';
}

/** Reads a file's layout from its columns and first rows; null when no format fits. A named format is taken at its word. */
export function detectLayout(
  head: { readonly columns: readonly string[]; readonly rows: readonly RawRow[] }, asked: { readonly format: RowFormat | 'auto'; readonly columns: Readonly<Record<string, string>> | null },
): RowLayout | null {
  const columns = mappedColumns(head.columns, asked.columns);
  const rows = head.rows.map((row) => renameColumns(row, asked.columns));
  const format = asked.format === 'auto' ? detectFormat(columns, rows) : asked.format;
  if (format === null) return null;
  return { format, named: asked.format !== 'auto', columns: asked.columns, scores: scoreColumns.find((pair) => pair.some((name) => columns.includes(name))) ?? null };
}

/** The file's columns under the names that formats read. */
export const mappedColumns = (columns: readonly string[], map: Readonly<Record<string, string>> | null): readonly string[] =>
  [...new Set([...columns, ...Object.entries(map ?? {}).flatMap(([reads, name]) => (columns.includes(name) ? [reads] : []))])];

/** A row under the names that formats read. */
export function renameColumns(row: RawRow, map: Readonly<Record<string, string>> | null): RawRow {
  if (map === null) return row;
  const renamed = Object.entries(map).flatMap(([reads, name]) => (Object.hasOwn(row, name) ? [[reads, row[name]] as const] : []));
  return Object.fromEntries([...Object.entries(row), ...renamed]);
}

/** The format of one row: the file's when the row has its columns, else its own; null when it has none. */
export function formatOfRow(row: RawRow, layout: RowLayout): RowFormat | null {
  if (needs[layout.format].every((group) => group.some((name) => Object.hasOwn(row, name)))) return layout.format;
  return layout.named ? null : detectFormat(Object.keys(row), [row]);
}

export const isRecord = (value: unknown): value is RawRow => typeof value === 'object' && value !== null && !Array.isArray(value);
