/** What each reason against a row means, in plain words: one table for the report and for checks of data sets. */
import type { Flaw } from './detect.ts';
import type { RowDropReason } from './row-drops.ts';
import type { RowFlag } from './row-formats.ts';

const flawMeanings: Readonly<Record<Flaw, string>> = {
  empty: 'the text is empty or blank',
  invalid_unicode: 'the text holds lone surrogates, NUL or replacement characters',
  delimiter_leak: 'the text repeats a block marker or an unfilled place of the prompt',
  instruction_echo: 'the text repeats our instructions',
  meta_talk: 'the text talks about the answer ("Improved response:") instead of being it',
  refusal: 'the text refuses where the reference answers',
  broken_escape: 'the text holds quotes or dashes whose escape was broken ("It2019s")',
  copy_of_reference: 'the text is the reference response itself',
};

const flagMeanings: Readonly<Record<RowFlag, string>> = {
  bidi_controls: 'the row holds controls of writing direction, which can hide what a text says',
  zero_width: 'the row holds invisible characters',
  line_separators: 'the row holds Unicode line or paragraph separators',
  control_characters: 'the row holds control characters',
  template_tokens: 'the row holds control tokens of chat templates, as text',
  placeholder_text: 'the row holds places or block markers of our prompts, as text',
  judge_injection: 'the row speaks to a judge or a model ("ignore previous instructions")',
  mojibake: 'the row holds text that was decoded with the wrong encoding',
  repetition: 'the row repeats itself over and over',
  single_word: 'the answer is a single word',
  very_long: 'the row is very long',
};

const rowMeanings: Readonly<Record<RowDropReason, string>> = {
  malformed_line: 'the line is not JSON', not_utf8: 'the line is not UTF-8', line_too_long: 'the line is longer than any row may be', too_deep: 'the row is nested too deeply',
  duplicate_keys: 'the row names a key twice, so that readers disagree about its value', forbidden_key: 'the row has a key that programs may take for their own (such as __proto__)',
  not_an_object: 'the row is not an object', wrong_columns: 'the row has not the columns of its format', not_text: 'something that must be text is not',
  text_too_long: 'a text is longer than any row may have', invalid_unicode: flawMeanings.invalid_unicode, unknown_role: 'a turn has a role other than system, user and assistant',
  bad_turn_order: 'the turns do not alternate between user and assistant', ends_on_user: 'the last turn is the user\'s: nothing answers it',
  empty_prompt: 'nothing is asked: the prompt is missing or blank', empty_response: 'nothing is answered: the response is missing or blank',
  prompts_differ: 'the two sides answer different prompts', identical: 'both sides are the same: nothing to prefer', identical_after_trim: 'both sides differ in outer white space only',
  identical_after_nfc: 'both sides differ in the encoding of accents only',
  score_missing: 'a score is missing', score_not_finite: 'a score is not a finite number', score_huge: 'a score is beyond any scale',
  tied_scores: 'both sides have the same score', inverted_scores: 'the rejected side has the higher score',
  duplicate_prompt: 'an earlier row has the same prompt', shared_prompt: 'the improver set has the same prompt',
  evaluation_prompt: 'the held-out set has the same prompt', over_limit: 'enough rows were kept already',
};

const stepMeanings = {
  // Workers: sampling, scoring, training.
  prompt_too_long: 'the prompt leaves no room for an answer', too_long: 'prompt and answer are longer than the longest length', identical_tokens: 'both sides are the same tokens: no gradient',
  // The teacher.
  teacher_refused: 'the teacher declined', teacher_empty: 'the teacher said nothing', teacher_rejected: 'the teacher\'s server would not take the request',
  teacher_failed: 'the teacher gave no answer however often it was asked', teacher_unfinished: 'the teacher\'s answer was cut short',
  // The filter.
  too_short: 'too few tokens for a perplexity that means something', not_finite: 'the perplexity is not a finite number', perplexity_low: 'the perplexity lies below the lower fence',
  perplexity_high: 'the perplexity lies above the upper fence', not_scored: 'the answer has no perplexity',
  // Training sets and pairs.
  copy_of_draft: 'the target is the draft itself: nothing to learn', not_replayed: 'usable for replay, and not drawn', unfinished: 'the answer was cut short, and has no end',
  unfinished_kept: 'an answer was cut short, and the rules keep it', missing: 'an earlier step has no answer for the row', missing_value: 'an earlier step left a value out',
} as const;

/** What stands before a reason that belongs to one part of a row. */
const partMeanings: Readonly<Record<string, string>> = {
  rejected: 'rejected side', chosen: 'chosen side', target: 'target', answer: 'held-out answer', score: 'held-out score', replay: 'answer for replay',
};

const meanings: Readonly<Record<string, string>> = { ...flagMeanings, ...flawMeanings, ...rowMeanings, ...stepMeanings };

/** The meaning of a reason, or of a flag; null for one that nothing in this product gives. */
export function explainDropReason(reason: string): string | null {
  if (Object.hasOwn(meanings, reason)) return meanings[reason] ?? null;
  const cut = reason.indexOf('_');
  const part = reason.slice(0, cut);
  if (cut < 0 || !Object.hasOwn(partMeanings, part)) return null;
  const meaning = explainDropReason(reason.slice(cut + 1));
  return meaning === null ? null : `${partMeanings[part] ?? part}: ${meaning}`;
}
