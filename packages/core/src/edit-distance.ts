import { distance } from 'fastest-levenshtein';

/** Levenshtein distance of pairs of texts: in characters (UTF-16 units), and as a share of the longer text (0…1). `n`: pairs measured. */
export interface EditDistance { readonly meanCharacters: number; readonly meanNormalised: number; readonly n: number }

export interface EditDistanceStat {
  add(a: string, b: string): void;
  /** null when nothing was measured. */
  result(): EditDistance | null;
}

/** Distances are quadratic in length, so only the first `maxPairs` pairs are measured; `n` says how many. */
export const defaultMaxPairs = 2_000;

export function createEditDistanceStat(maxPairs: number): EditDistanceStat {
  let n = 0;
  let characters = 0;
  let normalised = 0;
  return {
    add(a, b) {
      if (n >= maxPairs) return;
      const edits = distance(a, b);
      n += 1;
      characters += edits;
      normalised += edits / Math.max(a.length, b.length, 1);
    },
    result: () => (n === 0 ? null : { meanCharacters: characters / n, meanNormalised: normalised / n, n }),
  };
}

export interface LengthStat {
  add(text: string): void;
  /** Mean characters (Unicode code points); null without texts. */
  result(): number | null;
}

export function createLengthStat(): LengthStat {
  let n = 0;
  let characters = 0;
  return {
    add(text) {
      n += 1;
      for (const _ of text) characters += 1;
    },
    result: () => (n === 0 ? null : characters / n),
  };
}
