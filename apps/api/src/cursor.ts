import { SgpoError } from '@sgpo/core';
import type { RunId } from '@sgpo/core';

/** Opaque to clients: what a page goes on from may change without breaking them. */
export const cursorOf = (last: RunId): string => Buffer.from(`1:${last}`).toString('base64url');

/** The run a cursor stands behind. REQUEST.INVALID for anything that cursorOf did not make. */
export function readCursor(cursor: string): RunId {
  const id = /^1:([A-Za-z0-9_-]{1,64})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1];
  if (id === undefined) {
    throw new SgpoError('REQUEST.INVALID', 'cursor is not one that this API gave', {
      remedy: 'Take cursor from next of the page before, or leave it out', problems: [{ field: 'cursor', value: cursor, message: 'cursor is not one that this API gave', fix: 'Take it from next of the page before' }],
    });
  }
  return id as RunId;
}
