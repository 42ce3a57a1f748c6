/** Given preference pairs: two answers to one prompt that differ, and scores that say the same as the order of the sides. */
import { drop, isDrop, type DroppedRow } from './row-drops.ts';
import type { RowFormat } from './row-formats.ts';
import type { RawRow } from './row-layout.ts';
import { readBothSides } from './row-readers.ts';
import type { Turns } from './row-turns.ts';

/** `scores` are null where the file has none, or they were not to be looked at. */
export interface GivenPair { readonly prompt: Turns; readonly chosen: string; readonly rejected: string; readonly scores: { readonly chosen: number; readonly rejected: number } | null }

const hugeScore = 1e6;

/** The pair of a preference row, or the first reason against it. `scoreColumns`: those of the file, null when it has none or they are not to be looked at. */
export function readPair(format: RowFormat, row: RawRow, scoreColumns: readonly [string, string] | null): GivenPair | DroppedRow {
  const sides = readBothSides(format, row);
  if (isDrop(sides)) return sides;
  const prompt = sides.chosen.slice(0, -1);
  if (!equalTurns(prompt, sides.rejected.slice(0, -1))) return drop('prompts_differ', 'the turns before the last are not the same on both sides');
  const [chosen, rejected] = [sides.chosen, sides.rejected].map((turns) => turns.at(-1)?.content ?? '') as [string, string];
  const same = sameness(chosen, rejected);
  if (same !== null) return same;
  const scores = scoreColumns === null ? null : readScores(row, scoreColumns);
  return scores !== null && isDrop(scores) ? scores : { prompt, chosen, rejected, scores };
}

function sameness(chosen: string, rejected: string): DroppedRow | null {
  if (chosen === rejected) return drop('identical', 'chosen and rejected are the same text');
  if (chosen.trim() === rejected.trim()) return drop('identical_after_trim', 'chosen and rejected are the same text but for outer white space');
  if (chosen.normalize('NFC').trim() === rejected.normalize('NFC').trim()) return drop('identical_after_nfc', 'chosen and rejected are the same text in Unicode form NFC');
  return null;
}

const equalTurns = (a: Turns, b: Turns): boolean => a.length === b.length && a.every(({ role, content }, index) => b[index]?.role === role && b[index].content === content);

function readScores(row: RawRow, columns: readonly [string, string]): { readonly chosen: number; readonly rejected: number } | DroppedRow {
  const values: number[] = [];
  for (const column of columns) {
    const value = row[column];
    if (value === null || value === undefined) return drop('score_missing', `${column} is ${value === null ? 'null' : 'absent'}`);
    const score = typeof value === 'bigint' ? Number(value) : value;
    if (typeof score !== 'number' || !Number.isFinite(score)) return drop('score_not_finite', `${column} is ${typeof score === 'number' ? String(score) : `a ${typeof score}`}, no finite number`);
    if (Math.abs(score) > hugeScore) return drop('score_huge', `${column} is ${String(score)}, beyond ±1e6`);
    values.push(score);
  }
  const [chosen = 0, rejected = 0] = values;
  if (chosen === rejected) return drop('tied_scores', `both sides have ${String(chosen)}`);
  if (chosen < rejected) return drop('inverted_scores', `chosen has ${String(chosen)}, rejected ${String(rejected)}`);
  return { chosen, rejected };
}
