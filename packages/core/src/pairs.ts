/** Preference pairs (Step 2): chosen y⁺ or y_sft, rejected y; or both as a data set gives them. */
import { assistantTurn, isUnfinished, sameText } from './answers.ts';
import type { Answer, DataRow } from './answers.ts';
import { detectFlaw } from './detect.ts';
import { createEditDistanceStat, createLengthStat, defaultMaxPairs } from './edit-distance.ts';
import type { EditDistance } from './edit-distance.ts';
import type { Message, RuleOptions } from './spec.ts';

/** TRL's conversational preference row; a side that was cut short is marked: no end token may follow it. A type and no interface, so that a table takes it as a record. */
export type PairRow = {
  readonly id: string; readonly prompt: readonly Message[]; readonly chosen: readonly Message[]; readonly rejected: readonly Message[];
  readonly chosen_unfinished: boolean; readonly rejected_unfinished: boolean;
};

/** A row with both sides. `chosenIsReference`: the chosen side is y_sft itself, which is data and is not searched for flaws. */
export interface PairSides {
  readonly row: DataRow; readonly rejected: Answer; readonly chosen: Answer; readonly chosenIsReference?: boolean;
  readonly rules: Pick<RuleOptions, 'unfinished' | 'chosenFlaws'>;
}

/**
 * The pair of a row, or the one reason against it, in this order: `rejected_<its reason>`, `chosen_<its reason>`, `rejected_unfinished` and
 * `chosen_unfinished` (unless the rules keep them), `chosen_empty`, `rejected_empty`, `identical` (no gradient), `chosen_<flaw>` for the flaws of the rules.
 */
export function buildPair(sides: PairSides): PairRow | { readonly dropReason: string } {
  const dropReason = reasonAgainst(sides);
  if (dropReason !== null) return { dropReason };
  const { row, rejected, chosen } = sides;
  return {
    id: row.id, prompt: row.prompt, chosen: assistantTurn(chosen.text ?? ''), rejected: assistantTurn(rejected.text ?? ''),
    chosen_unfinished: isUnfinished(chosen), rejected_unfinished: isUnfinished(rejected),
  };
}

function reasonAgainst({ row, rejected, chosen, chosenIsReference = false, rules }: PairSides): string | null {
  if (rejected.dropReason !== null) return `rejected_${rejected.dropReason}`;
  if (chosen.dropReason !== null) return `chosen_${chosen.dropReason}`;
  if (rules.unfinished === 'drop' && isUnfinished(rejected)) return 'rejected_unfinished';
  if (rules.unfinished === 'drop' && isUnfinished(chosen)) return 'chosen_unfinished';
  const chosenText = chosen.text ?? '';
  const rejectedText = rejected.text ?? '';
  const fault = faultOfTexts(chosenText, rejectedText);
  if (fault !== null || chosenIsReference) return fault;
  const flaw = detectFlaw(chosenText, { prompt: row.prompt, reference: row.response, draft: rejectedText }, rules.chosenFlaws);
  return flaw === null ? null : `chosen_${flaw}`;
}

/** What no pair can do without: two texts, and different ones. Outer white space and the way accents are encoded make no difference. */
function faultOfTexts(chosen: string, rejected: string): 'chosen_empty' | 'rejected_empty' | 'identical' | null {
  if (chosen.trim() === '') return 'chosen_empty';
  if (rejected.trim() === '') return 'rejected_empty';
  return sameText(chosen, rejected) ? 'identical' : null;
}

/** A row of a preference set after ingest. */
export interface GivenRow { readonly id: string; readonly prompt: readonly Message[]; readonly chosen: string; readonly rejected: string }

/** The pair of a row that brings both sides, or `chosen_empty`, `rejected_empty` or `identical`. It is data: no flaws are searched for. */
export function buildGivenPair({ row }: { readonly row: GivenRow }): PairRow | { readonly dropReason: string } {
  const dropReason = faultOfTexts(row.chosen, row.rejected);
  if (dropReason !== null) return { dropReason };
  return { id: row.id, prompt: row.prompt, chosen: assistantTurn(row.chosen), rejected: assistantTurn(row.rejected), chosen_unfinished: false, rejected_unfinished: false };
}

export interface PairStats {
  /** y⁺–y and y⁺–y_sft: by design y⁺ is nearer to y. With y_sft as the chosen side the latter is 0; given pairs have no reference. */
  readonly editDistance: { readonly chosenToRejected: EditDistance | null; readonly chosenToReference: EditDistance | null };
  /** Mean characters, and mean chosen / mean rejected: far from 1 means that length is being learnt. */
  readonly lengths: { readonly chosen: number | null; readonly rejected: number | null; readonly ratio: number | null };
  /** Kept pairs with a mark against them. */
  readonly flagged: { readonly unfinished_kept: number };
}

export interface PairStatsAccumulator {
  /** One row; rows that give no pair are left out. */
  add(sides: PairSides): void;
  addGiven(row: GivenRow): void;
  result(): PairStats;
}

/** Edit distances are taken of the first `maxPairs` pairs. */
export function createPairStats({ maxPairs = defaultMaxPairs }: { readonly maxPairs?: number } = {}): PairStatsAccumulator {
  const toRejected = createEditDistanceStat(maxPairs);
  const toReference = createEditDistanceStat(maxPairs);
  const chosenLength = createLengthStat();
  const rejectedLength = createLengthStat();
  let unfinished = 0;
  function measure(chosen: string, rejected: string): void {
    toRejected.add(chosen, rejected);
    chosenLength.add(chosen);
    rejectedLength.add(rejected);
  }
  return {
    add(sides) {
      if (reasonAgainst(sides) !== null) return;
      const chosen = sides.chosen.text ?? '';
      measure(chosen, sides.rejected.text ?? '');
      toReference.add(chosen, sides.row.response);
      if (isUnfinished(sides.chosen) || isUnfinished(sides.rejected)) unfinished += 1;
    },
    addGiven({ chosen, rejected }) {
      if (faultOfTexts(chosen, rejected) === null) measure(chosen, rejected);
    },
    result() {
      const chosen = chosenLength.result();
      const rejected = rejectedLength.result();
      return {
        editDistance: { chosenToRejected: toRejected.result(), chosenToReference: toReference.result() },
        lengths: { chosen, rejected, ratio: chosen === null || rejected === null || rejected === 0 ? null : chosen / rejected },
        flagged: { unfinished_kept: unfinished },
      };
    },
  };
}
