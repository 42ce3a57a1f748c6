import { SgpoError } from '@sgpo/core';

/** Opaque to clients: what a page goes on from may change without breaking them. `last`: id of the last entry of a page. */
const cursorOf = (last: string): string => Buffer.from(`1:${last}`).toString('base64url');

/** The id a cursor stands behind. REQUEST.INVALID for anything that cursorOf did not make. */
export function readCursor<Id extends string>(cursor: string): Id {
  const id = /^1:([A-Za-z0-9_-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1];
  if (id === undefined) {
    throw new SgpoError('REQUEST.INVALID', 'cursor is not one that this API gave', {
      remedy: 'Take cursor from next of the page before, or leave it out', problems: [{ field: 'cursor', value: cursor, message: 'cursor is not one that this API gave', fix: 'Take it from next of the page before' }],
    });
  }
  return id as Id;
}

/** A page and the cursor of the next one, of `rows` that were asked for with one more than `limit`. */
export function pageOf<Row extends { readonly id: string }>(rows: readonly Row[], limit: number): { readonly page: readonly Row[]; readonly next: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { page, next: rows.length > limit && last !== undefined ? cursorOf(last.id) : null };
}
