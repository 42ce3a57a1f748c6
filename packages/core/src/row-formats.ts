/** Names of the shapes rows come in, and of what may be odd about a row. */

/**
 * - `preference-messages`: chosen and rejected conversations (dpo-mix-7k).
 * - `ultrafeedback`: the same beside a prompt column, with scores.
 * - `messages`: one conversation, `messages` with role/content.
 * - `sharegpt`: one conversation, `conversations` with from/value.
 * - `prompt-response`: prompt + response | completion | reference.
 * - `instruction`: instruction (+ input) + output.
 * - `helpsteer3`: context, response1, response2, overall_preference (−3…3, negative: response1 is better).
 * - `tulu3-preference`: prompt, chosen and rejected conversations, with chosen_rating and rejected_rating where there are any.
 */
export const rowFormats = ['preference-messages', 'ultrafeedback', 'messages', 'sharegpt', 'prompt-response', 'instruction', 'helpsteer3', 'tulu3-preference'] as const;
export type RowFormat = typeof rowFormats[number];

/** Marks that a kept row is counted under: data that may be right, and often is not. */
export const rowFlags = [
  'bidi_controls', 'zero_width', 'line_separators', 'control_characters', 'template_tokens', 'placeholder_text', 'judge_injection', 'mojibake', 'repetition', 'single_word', 'very_long',
] as const;
export type RowFlag = typeof rowFlags[number];
