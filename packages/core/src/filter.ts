/** The perplexity filter of Step 1 (Section 3, arXiv 2507.20181): Tukey's fences, one decision for each set of answers. */
import type { FilterOptions } from './spec.ts';

/**
 * Quantile by linear interpolation (type 7 of Hyndman and Fan) of values in ascending order, 0 ≤ q ≤ 1; from the nearer neighbour, as numpy does it, so that
 * the results are equal to the last bit. Throws RangeError without values.
 */
export function quantile(sorted: readonly number[], q: number): number {
  if (!(q >= 0 && q <= 1)) throw new RangeError(`q is ${String(q)}; it must lie between 0 and 1`);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  if (below === undefined || above === undefined) throw new RangeError('no values: a quantile needs at least one');
  const weight = at - Math.floor(at);
  return weight < 0.5 ? below + (above - below) * weight : above - (above - below) * (1 - weight);
}

/** `low` and `high` are null where nothing is fenced off. */
export interface Fences { readonly q1: number; readonly q3: number; readonly low: number | null; readonly high: number | null }

/**
 * Quartiles of finite values in any order, and the fences `factor` interquartile ranges outside them; the fences are finite too, as JSON needs.
 * `factor` null: quartiles without fences.
 */
export function tukeyFences(values: readonly number[], factor: number | null): Fences {
  const sorted = sortNumbers(values);
  const q1 = quantile(sorted, 0.25);
  const q3 = quantile(sorted, 0.75);
  if (factor === null) return { q1, q3, low: null, high: null };
  const width = factor * (q3 - q1);
  return { q1, q3, low: Math.max(q1 - width, -Number.MAX_VALUE), high: Math.min(q3 + width, Number.MAX_VALUE) };
}

const sortNumbers = (values: readonly number[]): number[] => [...Float64Array.from(values).sort()];

/** Log-probability of an answer given its prompt, natural logarithm: the sum over its tokens, and the end token apart. */
export interface AnswerLogprob { readonly sumLogprob: number; readonly tokens: number; readonly endLogprob: number | null }

/** exp of the mean negative log-probability a token. NaN without tokens, or when the end token is to count and has no value. */
export function perplexity({ sumLogprob, tokens, endLogprob }: AnswerLogprob, includeEndToken: boolean): number {
  if (!includeEndToken) return Math.exp(-sumLogprob / tokens);
  return endLogprob === null ? Number.NaN : Math.exp(-(sumLogprob + endLogprob) / (tokens + 1));
}

export interface ScoredRow {
  readonly id: string; readonly pos: number; readonly sumLogprob: number | null; readonly tokens: number | null; readonly endLogprob: number | null; readonly dropReason: string | null;
}
/** `dropReason` null: kept. Else the row's own reason, or too_short, not_finite, perplexity_low, perplexity_high. */
export interface FilterVerdict { readonly id: string; readonly pos: number; readonly perplexity: number | null; readonly dropReason: string | null }

export interface PerplexitySummary { readonly mean: number; readonly median: number; readonly max: number }
export interface FilterStats {
  /** null when no row could enter the quartiles. */
  readonly q1: number | null; readonly q3: number | null;
  /** null without quartiles, and when the filter has no factor. */
  readonly low: number | null; readonly high: number | null;
  /** Rows that arrived, dropped ones included. */
  readonly total: number;
  readonly kept: number;
  readonly tooShort: number;
  /** Perplexities that entered the quartiles, and those that were kept; null when there are none. */
  readonly before: PerplexitySummary | null;
  readonly after: PerplexitySummary | null;
}

/** One verdict a row, in the order of `rows`. A value on a fence is kept; without a factor every row that has a perplexity and enough tokens is. */
export function filterScores(rows: readonly ScoredRow[], options: FilterOptions): { readonly verdicts: FilterVerdict[]; readonly stats: FilterStats } {
  const measured = rows.map((row) => measureRow(row, options));
  const before = measured.flatMap(({ perplexity: value, dropReason }) => (dropReason === null && value !== null ? [value] : []));
  const fences = before.length === 0 ? null : tukeyFences(before, options.factor);
  const verdicts = fences === null ? measured : measured.map((verdict) => judge(verdict, fences));
  const after = verdicts.flatMap(({ perplexity: value, dropReason }) => (dropReason === null && value !== null ? [value] : []));
  return {
    verdicts,
    stats: {
      q1: fences?.q1 ?? null, q3: fences?.q3 ?? null, low: fences?.low ?? null, high: fences?.high ?? null,
      total: rows.length, kept: after.length, tooShort: verdicts.filter(({ dropReason }) => dropReason === 'too_short').length,
      before: summarise(before), after: summarise(after),
    },
  };
}

function measureRow(row: ScoredRow, options: FilterOptions): FilterVerdict {
  const { id, pos, sumLogprob, tokens, endLogprob, dropReason } = row;
  const value = sumLogprob === null || tokens === null ? Number.NaN : perplexity({ sumLogprob, tokens, endLogprob }, options.includeEndToken);
  const finite = Number.isFinite(value);
  const reason = dropReason ?? (tokens !== null && tokens < options.minTokens ? 'too_short' : finite ? null : 'not_finite');
  return { id, pos, perplexity: finite ? value : null, dropReason: reason };
}

function judge(verdict: FilterVerdict, { low, high }: Fences): FilterVerdict {
  if (verdict.dropReason !== null || verdict.perplexity === null) return verdict;
  if (low !== null && verdict.perplexity < low) return { ...verdict, dropReason: 'perplexity_low' };
  return high !== null && verdict.perplexity > high ? { ...verdict, dropReason: 'perplexity_high' } : verdict;
}

function summarise(values: readonly number[]): PerplexitySummary | null {
  if (values.length === 0) return null;
  const sorted = sortNumbers(values);
  // A running mean: the sum of perplexities near the largest double would overflow.
  let mean = 0;
  for (const [index, value] of sorted.entries()) mean += (value - mean) / (index + 1);
  return { mean, median: quantile(sorted, 0.5), max: sorted.at(-1) ?? Number.NaN };
}
