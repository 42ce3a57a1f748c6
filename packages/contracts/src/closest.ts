import { distance } from 'fastest-levenshtein';

/** The candidate that `word` was most likely meant to be, or null. Case, `_` and `-` do not count: `learning_rate` is learningRate. */
export function closest(word: string, candidates: readonly string[]): string | null {
  const plain = simplify(word);
  let best: string | null = null;
  let fewest = Math.max(1, Math.round(plain.length / 3)) + 1;
  for (const candidate of candidates) {
    const mistakes = countMistakes(plain, simplify(candidate));
    if (mistakes < fewest) [best, fewest] = [candidate, mistakes];
  }
  return best;
}

const simplify = (text: string): string => text.slice(0, 64).toLowerCase().replaceAll(/[_\-\s]/g, '');

/** Letters in another order are one slip of the fingers. */
const countMistakes = (from: string, to: string): number => (from !== to && sorted(from) === sorted(to) ? 1 : distance(from, to));
const sorted = (text: string): string => Array.from(text).toSorted().join('');
