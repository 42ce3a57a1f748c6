import { detectLayout, fillsSpace, mappedColumns, missingColumns, type DatasetSource, type RowLayout, type RowSpace } from '@sgpo/core';
import type { DatasetHead } from './dataset.ts';
import { problem, type About } from './dataset-errors.ts';

const accepted = 'chosen and rejected; prompt and response, completion or reference; instruction and output; messages; conversations; context, response1, response2 and overall_preference';

/** How the rows of a set are read, from its head and what the source says. Throws DATASET.WRONG_COLUMNS with the columns found and those needed. */
export function layoutOf(head: DatasetHead, source: Pick<DatasetSource, 'format' | 'columns'>, space: RowSpace, about: About): RowLayout {
  const wrong = (message: string, fix: string): Error => problem(about, 'DATASET.WRONG_COLUMNS', `${message} (its columns: ${list(head.columns)})`, fix);
  for (const [reads, name] of Object.entries(source.columns ?? {})) {
    if (!head.columns.includes(name)) throw wrong(`columns takes ${quote(reads)} from ${quote(name)}, which it does not have`, 'Name a column of the file');
  }
  const layout = detectLayout(head, source);
  if (layout === null) throw wrong('its columns make no known format', `Give one of these sets of columns, or say with columns which stand for them: ${accepted}`);
  const missing = missingColumns(layout.format, mappedColumns(head.columns, source.columns));
  if (missing.length > 0) throw wrong(`rows of format ${layout.format} need ${missing.join(', ')}`, 'Name another format, or say with columns which columns stand for those');
  if (!fillsSpace(layout.format, space)) throw wrong(`rows of format ${layout.format} have one answer; preferences need two`, 'Give rows with chosen and rejected, or with response1, response2 and overall_preference');
  return layout;
}

const quote = (name: string): string => JSON.stringify(name.slice(0, 60));
const list = (columns: readonly string[]): string => columns.slice(0, 30).map((column) => column.slice(0, 60)).join(', ') + (columns.length > 30 ? ' …' : '');
