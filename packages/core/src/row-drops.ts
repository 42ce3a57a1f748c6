/** Why a row of a data set is left out. */
import type { RowFlag } from './row-formats.ts';

/** Every row of a file is kept or has one of these reasons, or the name of a flag that was told to drop it. */
export const rowDropReasons = [
  // Found while the file is read, before there is a row.
  'malformed_line', 'not_utf8', 'line_too_long', 'too_deep', 'duplicate_keys', 'forbidden_key',
  // What the row is.
  'not_an_object', 'wrong_columns', 'not_text', 'text_too_long', 'invalid_unicode', 'unknown_role', 'bad_turn_order', 'ends_on_user', 'empty_prompt', 'empty_response',
  // Given pairs.
  'prompts_differ', 'identical', 'identical_after_trim', 'identical_after_nfc', 'score_missing', 'score_not_finite', 'score_huge', 'tied_scores', 'inverted_scores',
  // What is there already.
  'duplicate_prompt', 'shared_prompt', 'evaluation_prompt', 'over_limit',
] as const;

export type RowDropReason = typeof rowDropReasons[number];
/** Reasons that the reader of a file finds before there is a row. */
export type UnreadRowReason = Extract<RowDropReason, 'malformed_line' | 'not_utf8' | 'line_too_long' | 'too_deep' | 'duplicate_keys' | 'forbidden_key'>;

/** A row that is left out. `detail` tells where and what in the row, never its text. */
export interface DroppedRow<Reason extends string = RowDropReason | RowFlag> { readonly dropReason: Reason; readonly detail: string }

export const drop = <Reason extends RowDropReason | RowFlag>(dropReason: Reason, detail: string): DroppedRow<Reason> => ({ dropReason, detail });
export const isDrop = <Value extends object>(value: Value | DroppedRow): value is DroppedRow => 'dropReason' in value;
