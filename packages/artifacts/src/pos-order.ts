import { BIGINT } from '@duckdb/node-api';
import { fileBindings, mergeBindings, readParquet, streamRows, type Bindings, type Engine } from './duckdb.ts';

/** Rows with from ≤ pos < to. */
export interface PosRange { readonly from?: number; readonly to?: number }

/** Files in the order to read them, and the ORDER BY that is still needed (empty: none). Files without a row in the range are left out. */
export interface ReadOrder { readonly files: readonly string[]; readonly order: string }

type Translate = (error: unknown) => unknown;

/** The WHERE of a range, or nothing. */
export function whereOf({ from, to }: PosRange): string {
  const conditions = [...from === undefined ? [] : ['"pos" >= $range_from'], ...to === undefined ? [] : ['"pos" < $range_to']];
  return conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
}

/** What `whereOf` needs bound. */
export function rangeBindings({ from, to }: PosRange): Bindings {
  const bounds = [...from === undefined ? [] : [['range_from', from] as const], ...to === undefined ? [] : [['range_to', to] as const]];
  return { values: Object.fromEntries(bounds.map(([name, pos]) => [name, BigInt(pos)])), types: Object.fromEntries(bounds.map(([name]) => [name, BIGINT])) };
}

/**
 * Looks at the `pos` column alone to find out how to read whole rows by `pos`. Tables are written in that order and shards do not
 * overlap, so nearly always the files only have to be put in order, and rows stream through without a sort of everything.
 */
export async function orderFiles(engine: Engine, paths: readonly string[], range: PosRange, translate: Translate): Promise<ReadOrder> {
  const spans = new Map<number, { first: number; last: number }>();
  let sorted = true;
  const sql = `SELECT file_index AS file, "pos" AS pos FROM ${readParquet('files')}${whereOf(range)}`;
  for await (const row of streamRows(engine, sql, mergeBindings(fileBindings('files', paths), rangeBindings(range)), translate)) {
    const file = Number(row['file']);
    // A pos that is null comes last, as ORDER BY puts it.
    const pos = row['pos'] === null ? Infinity : Number(row['pos']);
    const span = spans.get(file);
    if (span === undefined) spans.set(file, { first: pos, last: pos });
    else if (pos < span.last) sorted = false;
    else span.last = pos;
  }
  const inOrder = [...spans].toSorted(([fileA, a], [fileB, b]) => a.first - b.first || a.last - b.last || fileA - fileB);
  const apart = inOrder.every(([file, span], at) => {
    const before = inOrder[at - 1];
    return before === undefined || before[1].last < span.first || (before[1].last === span.first && before[0] < file);
  });
  if (!sorted || !apart) return { files: paths, order: ' ORDER BY "pos", file_index, file_row_number' };
  return { files: inOrder.flatMap(([file]) => paths[file] ?? []), order: '' };
}

/** Column names of the first of the files. */
export async function columnsOf(engine: Engine, paths: readonly string[], translate: Translate): Promise<string[]> {
  const names: string[] = [];
  for await (const row of streamRows(engine, `DESCRIBE SELECT * FROM ${readParquet('files')}`, fileBindings('files', paths), translate)) names.push(row['column_name'] as string);
  return names;
}
