/** The improver's training set (Step 1): (x, y₀) → ŷ and (x, y₀) → y_ext. */
import { assistantTurn, isUnfinished, sameText } from './answers.ts';
import type { Answer, DataRow } from './answers.ts';
import { detectFlaw } from './detect.ts';
import { createEditDistanceStat, createLengthStat, defaultMaxPairs } from './edit-distance.ts';
import type { EditDistance } from './edit-distance.ts';
import type { PromptName } from './plan.ts';
import { fillPrompt } from './prompts.ts';
import type { Message, RuleOptions } from './spec.ts';

/** TRL's conversational prompt-completion row, with the id of its prompt, which all its targets share; a target that was cut short is marked: no end token may follow it. A type and no interface, so that a table takes it as a record. */
export type SftRow = { readonly id: string; readonly prompt: readonly Message[]; readonly completion: readonly Message[]; readonly unfinished: boolean };

/** One target of one row. `prompt`: train or train-with-reference. */
export interface SftExample {
  readonly row: DataRow; readonly draft: Answer; readonly target: Answer; readonly verdict: { readonly dropReason: string | null } | null; readonly prompt: PromptName;
  readonly rules: Pick<RuleOptions, 'unfinished' | 'targetFlaws' | 'copyOfDraft'>;
}

/**
 * The training row of one target, or the one reason against it, in this order: the draft's own, the target's own, `teacher_unfinished` (unless the
 * rules keep it), the filter's (`not_scored` without a verdict), `target_empty`, `target_<flaw>` for the flaws of the rules, `copy_of_draft` (nothing to
 * learn; unless the rules keep it).
 */
export function buildSftRow(example: SftExample): SftRow | { readonly dropReason: string } {
  const { row, draft, target, verdict, prompt, rules } = example;
  const draftText = draft.text ?? '';
  const text = target.text ?? '';
  const dropReason = draft.dropReason ?? target.dropReason ?? (rules.unfinished === 'drop' && isUnfinished(target) ? 'teacher_unfinished' : null)
    ?? (verdict === null ? 'not_scored' : verdict.dropReason) ?? reasonAgainstText();
  if (dropReason !== null) return { dropReason };
  return { id: row.id, prompt: fillPrompt(prompt, { prompt: row.prompt, draft: draftText, reference: row.response }), completion: assistantTurn(text), unfinished: isUnfinished(target) };

  function reasonAgainstText(): string | null {
    if (text.trim() === '') return 'target_empty';
    const flaw = detectFlaw(text, { prompt: row.prompt, reference: row.response, draft: draftText }, rules.targetFlaws);
    if (flaw !== null) return `target_${flaw}`;
    return rules.copyOfDraft === 'drop' && sameText(text, draftText) ? 'copy_of_draft' : null;
  }
}

export interface SftStats {
  /** ŷ–y₀ and ŷ–y_sft (Table 1 and Fig. 3); null when ŷ is no target. */
  readonly editDistance: { readonly improvedToDraft: EditDistance | null; readonly improvedToReference: EditDistance | null };
  /** Mean characters of y₀, y_sft, ŷ, y_ext. */
  readonly lengths: { readonly draft: number | null; readonly reference: number | null; readonly improved: number | null; readonly external: number | null };
  /** Training rows with a mark against them. */
  readonly flagged: { readonly unfinished_kept: number };
}

export interface SftStatsAccumulator {
  /** One target of one row, and what became of it. Answers that were dropped are left out of the measures, and so are targets cut short. */
  add(example: { readonly target: 'improved' | 'external'; readonly row: DataRow; readonly draft: Answer; readonly answer: Answer; readonly kept: boolean }): void;
  result(): SftStats;
}

/** Edit distances are taken of the first `maxPairs` rows that have both texts. A row's draft and reference count once for each target. */
export function createSftStats({ maxPairs = defaultMaxPairs }: { readonly maxPairs?: number } = {}): SftStatsAccumulator {
  const toDraft = createEditDistanceStat(maxPairs);
  const toReference = createEditDistanceStat(maxPairs);
  let unfinished = 0;
  const lengths = { draft: createLengthStat(), reference: createLengthStat(), improved: createLengthStat(), external: createLengthStat() };
  return {
    add({ target, row, draft, answer, kept }) {
      if (kept && isUnfinished(answer)) unfinished += 1;
      const draftText = draft.dropReason === null ? draft.text : null;
      if (draftText !== null) lengths.draft.add(draftText);
      lengths.reference.add(row.response);
      if (answer.dropReason !== null || answer.text === null || isUnfinished(answer)) return;
      lengths[target].add(answer.text);
      if (target !== 'improved') return;
      if (draftText !== null) toDraft.add(answer.text, draftText);
      toReference.add(answer.text, row.response);
    },
    result: () => ({
      editDistance: { improvedToDraft: toDraft.result(), improvedToReference: toReference.result() },
      lengths: {
        draft: lengths.draft.result(), reference: lengths.reference.result(), improved: lengths.improved.result(), external: lengths.external.result(),
      },
      flagged: { unfinished_kept: unfinished },
    }),
  };
}
