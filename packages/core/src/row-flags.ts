/**
 * What may be odd about the texts of a row. Data may well be right and flagged: code that shows template tokens, Arabic with marks of direction.
 * So a flag is counted, and drops a row only when it is told to. Every detector runs in time linear in the text.
 */
import { blockNames } from './prompts.ts';
import { rowFlags, type RowFlag } from './row-formats.ts';
import { isLooping } from './row-loops.ts';

/** `texts`: all texts of the row; `answers`: those of them that answer. */
export interface RowTexts { readonly texts: readonly string[]; readonly answers: readonly string[] }

/** Flags of a row, in the order of `rowFlags`. */
export function flagsOf({ texts, answers }: RowTexts): readonly RowFlag[] {
  const found = new Set<RowFlag>();
  for (const text of texts) {
    // Most text is plain ASCII, which cannot have the flags of odd characters.
    if (beyondPlain.test(text)) for (const flag of characterFlags) if (!found.has(flag) && detectors[flag](text)) found.add(flag);
    for (const flag of textFlags) if (!found.has(flag) && detectors[flag](text)) found.add(flag);
  }
  if (answers.some(isSingleWord)) found.add('single_word');
  return found.size === 0 ? none : rowFlags.filter((flag) => found.has(flag));
}
const none: readonly RowFlag[] = [];

/** Anything but tabs, line ends and printable ASCII. */
const beyondPlain = /[^\t\n\r -~]/;
const characterFlags = ['bidi_controls', 'zero_width', 'line_separators', 'control_characters', 'mojibake'] as const;
const textFlags = ['template_tokens', 'placeholder_text', 'judge_injection', 'repetition', 'very_long'] as const;
const veryLong = 32_768;

const detectors: Readonly<Record<typeof characterFlags[number] | typeof textFlags[number], (text: string) => boolean>> = {
  bidi_controls: (text) => bidiOverride.test(text) || (bidiMark.test(text) && !rightToLeft.test(text)),
  zero_width: (text) => zeroWidth.test(text),
  line_separators: (text) => /[\u2028\u2029]/.test(text),
  control_characters: (text) => controls.test(text),
  mojibake: (text) => mojibake.test(text),
  template_tokens: (text) => templateToken.test(text),
  placeholder_text: (text) => placeholder.test(text),
  judge_injection: (text) => aimed.test(text) && injection.test(text),
  repetition: isLooping,
  very_long: (text) => text.length > veryLong,
};

/** Embeddings, overrides and isolates; marks are common in right-to-left text, and hide in any other. */
const bidiOverride = /[\u202a-\u202e\u2066-\u2069]/;
const bidiMark = /[\u061c\u200e\u200f]/;
const rightToLeft = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

/** Scripts whose spelling needs joiners and non-joiners. */
const joiningScripts = ['Arabic', 'Syriac', 'Mongolian', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar', 'Nko']
  .map((script) => String.raw`\p{Script=${script}}`).join('');
/** Joiners are right after a letter of those scripts, and between the parts of an emoji; tags are in flags of regions, of at most seven each. */
const zeroWidth = new RegExp(
  String.raw`[\u180e\u200b\u2060-\u2064\ufeff]|(?<![${joiningScripts}])\u200c|(?<![${joiningScripts}]|\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d|(?<!\u{1F3F4}[\u{E0020}-\u{E007F}]{0,6})[\u{E0000}-\u{E007F}]`, 'u',
);

const controls = /[^\P{Cc}\t\n\r]/u;

/** UTF-8 that was read as Latin-1 or Windows-1252, and the mark of what could not be read. */
const mojibake = /Ã[\u0080-\u00bf\u0192\u02c6\u2018-\u2026\u2030\u2039\u20ac\u2122]|â€[\u0080-\u00bf\u0153\u02dc\u2018-\u2026\u2122]|Â[\u0080-\u00b9\u00bb-\u00bf]|ðŸ|ï»¿|\ufffd/;

/** Control tokens of chat templates, as text. */
const templateToken = /<\|[a-z_][a-z0-9_ -]{0,40}\|>|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[(?:BOS|EOS|PAD)\]|<｜[^｜]{1,40}｜>/;

/** Unfilled places and the markers of blocks of our own prompts; `[prompt]` by itself is an argument in any manual. */
const names = blockNames.join('|');
const placeholder = new RegExp(String.raw`\{\{ ?(?:prompt|draft|reference)(?: as [A-Za-z-]+)? ?\}\}|\[{2,}/?(?:${names})\]{2,}|\[/(?:${names})\]`);

/** Text that speaks to whoever judges it. */
const injection = new RegExp([
  String.raw`\b(?:ignore|disregard|forget) (?:all |any |every )?(?:of )?(?:the |your |my )?(?:previous|prior|above|earlier|preceding|foregoing) (?:instruction|prompt|rule|guideline|direction|command)`,
  String.raw`\b(?:rate|score|grade|rank) (?:this|my|the (?:above|following|first|second)) (?:answer|response|output|reply|assistant)?\s?(?:as |with |a )*(?:10|ten|100|5|five|highest|best|perfect)\b`,
  String.raw`\b(?:give|award|assign) (?:this|my) (?:answer|response|output|reply) (?:a |an |the )?(?:score of |rating of |full |perfect |maximum |highest |10\b|ten\b)`,
  // Speeches begin with "Dear judges": only what is plainly a note counts.
  String.raw`\b(?:attention|note to|message to),?(?: the| all)? (?:judge|grader|evaluator|rater)s?\s*[:,!.]`,
  String.raw`\b(?:choose|prefer|pick|select|vote for) (?:this|my) (?:answer|response|output) (?:as |over |because |regardless)`,
].join('|'), 'i');

/** How each of those goes on behind its verb. Looked for first: a space is found sooner than any of the verbs. */
const aimed = / (?:previous|prior|above|earlier|preceding|foregoing) (?:instruction|prompt|rule|guideline|direction|command)| (?:this|my|above|following|first|second) (?:answer|response|output|reply|assistant|as |with |a |10|ten|5|five|highest|best|perfect)| (?:judge|grader|evaluator|rater)/i;

/** Scripts that put no space between words. */
const spaceless = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

function isSingleWord(text: string): boolean {
  const trimmed = text.trim();
  return trimmed.length <= 64 && !/\s/.test(trimmed) && (!spaceless.test(trimmed) || trimmed.length <= 2);
}
