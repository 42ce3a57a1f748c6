import type { RowCounts } from './repositories.ts';

/** Throws TypeError unless rowsIn = rowsOut + Σ dropped. */
export function requireBalance({ rowsIn, rowsOut, dropped }: RowCounts): void {
  const lost = Object.values(dropped).reduce((sum, rows) => sum + rows, 0);
  if (rowsIn !== rowsOut + lost) {
    throw new TypeError(`rows do not add up: rowsIn ${String(rowsIn)}, rowsOut ${String(rowsOut)}, dropped ${JSON.stringify(dropped)}; count every row that is left out under a reason`);
  }
}
