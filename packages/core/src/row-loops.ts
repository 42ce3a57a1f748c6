/** Text that says one thing over and over, as a model caught in a loop does. */

const longestPiece = 400;
const leastTimes = 4;
const leastLength = 200;
const windowLength = 32;
// A run of the least length, or of four pieces, holds a window that begins at a multiple of this, and the next place of it.
const step = 100;

/**
 * True when a piece of up to 400 characters stands four times or more in a row, over 200 characters or more, and holds two different letters
 * (rules, padding and table lines do not). Where a window stands again gives the length of a piece; comparing each character with the one
 * a piece later, to both sides, gives how far the run goes: linear time.
 */
export function isLooping(text: string): boolean {
  for (let at = 0; at + windowLength < text.length; at += step) {
    const window = text.slice(at, at + windowLength);
    const period = 1 + text.slice(at + 1, at + longestPiece + windowLength).indexOf(window);
    if (period > 0 && runLength(text, at, period) >= Math.max(leastLength, leastTimes * period) && hasTwoLetters(text.slice(at, at + period))) return true;
  }
  return false;
}

/** Characters around `at` that repeat every `period`; no more are counted than are asked for. */
function runLength(text: string, at: number, period: number): number {
  const enough = Math.max(leastLength, leastTimes * period);
  const repeats = (index: number): boolean => text.charCodeAt(index) === text.charCodeAt(index + period);
  let end = at;
  while (end + period < text.length && end - at < enough && repeats(end)) end += 1;
  let start = at;
  while (start > 0 && at - start < step && repeats(start - 1)) start -= 1;
  return end - start + period;
}

function hasTwoLetters(piece: string): boolean {
  const [first, ...others] = piece.matchAll(/\p{L}/gu);
  return first !== undefined && others.some(([letter]) => letter !== first[0]);
}
