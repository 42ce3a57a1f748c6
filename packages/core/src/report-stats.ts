/** Reads what steps left: their stats, which come back from a database as unknown JSON, so that every field is checked; their metrics; their counts. */
import type { EditDistance } from './edit-distance.ts';
import type { MetricPoint, Report } from './report-types.ts';

export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object at `field` of `from`; null when it is absent. Throws TypeError for anything else. */
export function readFields(from: Fields | null, field: string, at: string): Fields | null {
  const value = from?.[field];
  if (value === undefined || value === null) return null;
  if (!isFields(value)) throw new TypeError(`stats of step "${at}": ${field} is ${typeof value}; it must be an object`);
  return value;
}

/** A number, or null. Throws TypeError for anything else: a report never guesses. */
export function readNumber(from: Fields, field: string, at: string): number | null {
  const value = from[field];
  if (value === null || typeof value === 'number') return value;
  throw new TypeError(`stats of step "${at}": ${field} is ${typeof value}; it must be a number or null`);
}

export function readCount(from: Fields, field: string, at: string): number {
  const value = readNumber(from, field, at);
  if (value === null) throw new TypeError(`stats of step "${at}": ${field} is null; it must be a number`);
  return value;
}

export function readEditDistance(from: Fields | null, field: string, at: string): EditDistance | null {
  const fields = readFields(from, field, at);
  if (fields === null) return null;
  return { meanCharacters: readCount(fields, 'meanCharacters', at), meanNormalised: readCount(fields, 'meanNormalised', at), n: readCount(fields, 'n', at) };
}

/** Counts by name, without those that are 0; {} when the field is absent. */
export function readCounts(from: Fields | null, field: string, at: string): Readonly<Record<string, number>> {
  const fields = readFields(from, field, at) ?? {};
  return Object.fromEntries(Object.keys(fields).map((name) => [name, readCount(fields, name, at)] as const).filter(([, count]) => count > 0));
}

export function pickNumbers<Name extends string>(from: Fields | null, names: readonly Name[], at: string): Record<Name, number | null> {
  return Object.fromEntries(names.map((name) => [name, from === null ? null : readNumber(from, name, at)])) as Record<Name, number | null>;
}

/** Keys of the steps whose rows do not add up: rowsIn ≠ rowsOut + Σ dropped. */
export function assertSums(report: Pick<Report, 'steps'>): string[] {
  return report.steps
    .filter(({ rowsIn, rowsOut, dropped }) => (rowsIn ?? 0) !== (rowsOut ?? 0) + Object.values(dropped).reduce((sum, n) => sum + n, 0))
    .map(({ key }) => key);
}

/** Points of one metric of one step, by step. */
export function seriesOf(metrics: readonly MetricPoint[], stepKey: string, name: string): readonly MetricPoint[] {
  return metrics.filter((point) => point.stepKey === stepKey && point.name === name).sort((a, b) => a.step - b.step);
}

/** How many prompts the held-out measures of each model rest on. */
export const heldOutPrompts = (steps: Report['steps']): readonly number[] => steps.flatMap(({ kind, rowsOut }) => (kind === 'measure' && rowsOut !== null ? [rowsOut] : []));

/** `8 held-out prompts`, or from the fewest to the most where they differ. */
export function describePrompts(counts: readonly number[]): string {
  if (counts.length === 0) return 'An unknown number of held-out prompts';
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
  return `${fewest === most ? String(most) : `${String(fewest)} to ${String(most)}`} held-out prompts`;
}
