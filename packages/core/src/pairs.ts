/** Preference pairs (Step 2): chosen y⁺ or y_sft, rejected y. */
import { assistantTurn, isUnfinished } from './answers.ts';
import type { Answer, DataRow } from './answers.ts';
import { detectFlaw } from './detect.ts';
import { createEditDistanceStat, createLengthStat, defaultMaxPairs } from './edit-distance.ts';
import type { EditDistance } from './edit-distance.ts';
import type { Message } from './spec.ts';

/** TRL's conversational preference row. A type and no interface, so that a table takes it as a record. */
export type PairRow = { readonly id: string; readonly prompt: readonly Message[]; readonly chosen: readonly Message[]; readonly rejected: readonly Message[] };

/** A row with both sides. `chosenIsReference`: the chosen side is y_sft itself, which is data and is not searched for flaws. */
export interface PairSides { readonly row: DataRow; readonly rejected: Answer; readonly chosen: Answer; readonly chosenIsReference?: boolean }

/**
 * The pair of a row, or the one reason against it, in this order: `rejected_<its reason>`, `chosen_<its reason>`, `rejected_unfinished`,
 * `chosen_unfinished`, `chosen_empty`, `rejected_empty`, `identical` (no gradient), `chosen_<flaw>`.
 */
export function buildPair(sides: PairSides): PairRow | { readonly dropReason: string } {
  const dropReason = reasonAgainst(sides);
  if (dropReason !== null) return { dropReason };
  const { row, rejected, chosen } = sides;
  return { id: row.id, prompt: row.prompt, chosen: assistantTurn(chosen.text ?? ''), rejected: assistantTurn(rejected.text ?? '') };
}

function reasonAgainst({ row, rejected, chosen, chosenIsReference = false }: PairSides): string | null {
  if (rejected.dropReason !== null) return `rejected_${rejected.dropReason}`;
  if (chosen.dropReason !== null) return `chosen_${chosen.dropReason}`;
  if (isUnfinished(rejected)) return 'rejected_unfinished';
  if (isUnfinished(chosen)) return 'chosen_unfinished';
  const chosenText = (chosen.text ?? '').trim();
  const rejectedText = (rejected.text ?? '').trim();
  if (chosenText === '') return 'chosen_empty';
  if (rejectedText === '') return 'rejected_empty';
  if (chosenText === rejectedText) return 'identical';
  if (chosenIsReference) return null;
  const flaw = detectFlaw(chosenText, { prompt: row.prompt, reference: row.response, draft: rejectedText });
  return flaw === null ? null : `chosen_${flaw}`;
}

export interface PairStats {
  /** y⁺–y and y⁺–y_sft: by design y⁺ is nearer to y. With y_sft as the chosen side the latter is 0. */
  readonly editDistance: { readonly chosenToRejected: EditDistance | null; readonly chosenToReference: EditDistance | null };
  /** Mean characters, and mean chosen / mean rejected: far from 1 means that length is being learnt. */
  readonly lengths: { readonly chosen: number | null; readonly rejected: number | null; readonly ratio: number | null };
}

export interface PairStatsAccumulator {
  /** One row; rows that give no pair are left out. */
  add(sides: PairSides): void;
  result(): PairStats;
}

/** Edit distances are taken of the first `maxPairs` pairs. */
export function createPairStats({ maxPairs = defaultMaxPairs }: { readonly maxPairs?: number } = {}): PairStatsAccumulator {
  const toRejected = createEditDistanceStat(maxPairs);
  const toReference = createEditDistanceStat(maxPairs);
  const chosenLength = createLengthStat();
  const rejectedLength = createLengthStat();
  return {
    add(sides) {
      if (reasonAgainst(sides) !== null) return;
      const chosen = sides.chosen.text ?? '';
      const rejected = sides.rejected.text ?? '';
      toRejected.add(chosen, rejected);
      toReference.add(chosen, sides.row.response);
      chosenLength.add(chosen);
      rejectedLength.add(rejected);
    },
    result() {
      const chosen = chosenLength.result();
      const rejected = rejectedLength.result();
      return {
        editDistance: { chosenToRejected: toRejected.result(), chosenToReference: toReference.result() },
        lengths: { chosen, rejected, ratio: chosen === null || rejected === null || rejected === 0 ? null : chosen / rejected },
      };
    },
  };
}
