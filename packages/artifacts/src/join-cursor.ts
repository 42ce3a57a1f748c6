import { SgpoError, type Digest } from '@sgpo/core';
import type { Cell, Row } from './schema.ts';

/** One table, or the shards of one. */
export type TableSource = Digest | readonly Digest[];

/** A side of a join: `columns` maps a name in the result to a column of the source. */
export interface JoinPart { readonly source: TableSource; readonly columns: Readonly<Record<string, string>> }

/** One side of a merge join: moves forward through rows in order of `pos`. */
export interface JoinCursor {
  /** The part's columns at `pos`, all null when it has no such row. `pos` must not fall from call to call. */
  at(pos: number): Promise<Record<string, Cell>>;
  /** Ends the reading. */
  close(): Promise<void>;
}

/** Opens a cursor over `rows`, which come by `pos`. ARTIFACT.CORRUPT when one `pos` stands twice: a row would then be joined twice. */
export function openCursor(part: JoinPart, rows: AsyncIterable<Row>): JoinCursor {
  const iterator = rows[Symbol.asyncIterator]();
  const absent = Object.fromEntries(Object.keys(part.columns).map((name) => [name, null]));
  let current: Row | null = null;
  let ended = false;

  async function advance(): Promise<void> {
    const next = await iterator.next();
    if (next.done === true) {
      ended = true;
      current = null;
      return;
    }
    if (current !== null && posOf(current) === posOf(next.value)) {
      throw new SgpoError('ARTIFACT.CORRUPT', `Position ${String(posOf(current))} stands twice in a table that is joined by position`, { remedy: 'Start the run again; join such a table only as the first part' });
    }
    current = next.value;
  }

  return {
    at: async (pos) => {
      while (!ended && (current === null || posOf(current) < pos)) await advance();
      return current !== null && posOf(current) === pos ? pick(part, current) : absent;
    },
    close: async () => { await iterator.return?.(); },
  };
}

/** The part's columns under their names in the result. */
export const pick = (part: JoinPart, row: Row): Record<string, Cell> =>
  Object.fromEntries(Object.entries(part.columns).map(([name, column]) => [name, row[column] ?? null]));

/** `pos` of a row; after every number when it is null. */
export const posOf = (row: Row): number => row['pos'] === null || row['pos'] === undefined ? Infinity : Number(row['pos']);

/** TypeError when two columns of a join would have the same name. */
export function checkNames(parts: readonly JoinPart[]): void {
  const taken = new Set(['id', 'pos']);
  for (const name of parts.flatMap((part) => Object.keys(part.columns))) {
    if (taken.has(name)) throw new TypeError(`the name ${JSON.stringify(name)} stands twice in a join: give each column its own, other than id and pos`);
    taken.add(name);
  }
}
