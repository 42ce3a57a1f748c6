/** The parts of a report that speak of rows: what was left out and why, by which rules, and what the training sets look like. */
import { explainDropReason } from './drop-reasons.ts';
import type { EditDistance } from './edit-distance.ts';
import { dash, number, percent, table, whole } from './markdown.ts';
import type { Report } from './report-types.ts';

/** Every reason and flag of every step, with its count and its meaning. */
export function renderDropped({ steps }: Report): string {
  const rows = steps.flatMap(({ key, dropped, flagged }) => [
    ...Object.entries(dropped).map(([reason, n]) => [key, 'dropped', reason, String(n), explainDropReason(reason) ?? dash]),
    ...Object.entries(flagged).map(([flag, n]) => [key, 'kept, flagged', flag, String(n), explainDropReason(flag) ?? dash]),
  ]);
  return rows.length === 0 ? 'No row was left out, and none was flagged.' : table(['step', 'what', 'reason', 'rows', 'meaning'], rows);
}

/** The options that decided which rows were learnt from. */
export function renderRules({ rules }: Report): string {
  const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '));
  const { filter } = rules;
  const known: readonly (readonly [string, string | null])[] = [
    ...Object.entries(rules.dropFlagged).map(([set, flags]) => [`data.${set}.dropFlagged`, list(flags)] as const),
    ['data.heldOutOverlap', rules.heldOutOverlap], ['data.scores', rules.scores],
    ['filter.factor', filter === null ? null : filter.factor === null ? 'null: nothing is fenced off' : String(filter.factor)],
    ['filter.minTokens', filter === null ? null : String(filter.minTokens)], ['filter.includeEndToken', filter === null ? null : String(filter.includeEndToken)],
    ['rules.unfinished', rules.unfinished], ['rules.targetFlaws', rules.targetFlaws === null ? null : list(rules.targetFlaws)], ['rules.copyOfDraft', rules.copyOfDraft],
    ['rules.replay', rules.replay === null ? null : String(rules.replay)], ['rules.chosenFlaws', rules.chosenFlaws === null ? null : list(rules.chosenFlaws)],
  ];
  const rows = known.flatMap(([option, value]) => (value === null ? [] : [[option, value]]));
  return rows.length === 0 ? '' : table(['option', 'value'], rows);
}

export function renderTrainingSet({ filter, replay, editDistance, lengths }: Report): string {
  if (filter === null) return '';
  const sets = ([['ŷ (improved)', filter.improved], ['y_ext (external)', filter.external]] as const).flatMap(([name, set]) => (set === null ? [] : [[
    name, String(set.total), String(set.kept), String(set.tooShort), number(set.q1, 3), number(set.q3, 3), set.low === null && set.high === null ? 'none' : `${number(set.low, 3)} … ${number(set.high, 3)}`,
  ]]));
  return [
    table(['perplexity filter', 'scored', 'kept', 'too short', 'Q1', 'Q3', 'fences'], sets),
    distances([['ŷ – y₀', editDistance.improvedToDraft], ['ŷ – y_sft', editDistance.improvedToReference]]),
    table(['mean characters', 'y₀', 'y_sft', 'ŷ', 'y_ext'], [['', number(lengths.draft, 0), number(lengths.reference, 0), number(lengths.improved, 0), number(lengths.external, 0)]]),
    ...(replay === null ? [] : [`Against forgetting, ${String(replay.rows)} of ${String(replay.wanted)} wanted rows are plain prompts with the initial policy's own answers.`]),
  ].filter((part) => part !== '').join('\n\n');
}

export function renderPairs({ editDistance, lengths }: Report): string {
  if (lengths.rounds.length === 0) return '';
  return [
    distances(editDistance.rounds.flatMap(({ round, chosenToRejected, chosenToReference }) => [
      [`round ${String(round)}: chosen – rejected`, chosenToRejected], [`round ${String(round)}: chosen – y_sft`, chosenToReference],
    ])),
    table(['mean characters', 'chosen', 'rejected', 'chosen / rejected'], lengths.rounds.map(({ round, chosen, rejected, ratio }) => [
      `round ${String(round)}`, number(chosen, 0), number(rejected, 0), number(ratio, 2),
    ])),
  ].filter((part) => part !== '').join('\n\n');
}

/** Of those that were measured: a recipe without ŷ has no distances of it. */
function distances(rows: readonly (readonly [string, EditDistance | null])[]): string {
  const measured = rows.flatMap(([name, distance]) => (distance === null ? [] : [[name, number(distance.meanCharacters, 1), percent(distance.meanNormalised), whole(distance.n)]]));
  return measured.length === 0 ? '' : table(['edit distance', 'mean characters', 'share of the longer text', 'measured on'], measured);
}
