/**
 * Faults of generated answers that would teach a model the wrong thing, each with a reason code. Conservative: what the prompt, the reference
 * or (for markers and marks of encoding) the draft also holds is the row's own matter and no fault.
 */
import { sameText } from './answers.ts';
import { blockNames, promptTemplates } from './prompts.ts';
import { isStorable } from './row-text.ts';
import type { Message } from './spec.ts';

/** In the order they are looked for; the first found is the answer. */
export const flaws = ['empty', 'invalid_unicode', 'delimiter_leak', 'instruction_echo', 'meta_talk', 'refusal', 'broken_escape', 'copy_of_reference'] as const;
export type Flaw = typeof flaws[number];

/** What the answer was made from. */
export interface AnswerContext { readonly prompt: readonly Message[]; readonly reference?: string | null; readonly draft?: string | null }

/** The first flaw of `text` among `checks` (default: all), or null. */
export function detectFlaw(text: string, context: AnswerContext, checks: readonly Flaw[] = flaws): Flaw | null {
  return flaws.find((flaw) => checks.includes(flaw) && detectors[flaw](text, context)) ?? null;
}

const detectors: Readonly<Record<Flaw, (text: string, context: AnswerContext) => boolean>> = {
  empty: (text) => text.trim() === '',
  invalid_unicode: (text, context) => !isStorable(text) || isOwn(text, context, /\uFFFD/),
  delimiter_leak: (text, context) => isOwn(text, context, marker),
  instruction_echo: (text, { prompt }) => {
    const folded = fold(text);
    const asked = prompt.map(({ content }) => fold(content));
    return instructions.some((sentence) => folded.includes(sentence) && !asked.some((turn) => turn.includes(sentence)));
  },
  meta_talk: (text, context) => {
    const { prompt, reference } = context;
    if (labelled.test(text) && !labelled.test(reference ?? '')) return true;
    if (isOwn(text, context, ourNames)) return true;
    const asksForRewriting = rewriting.test(prompt.findLast(({ role }) => role === 'user')?.content ?? '');
    return !asksForRewriting && [announced, reported].some((pattern) => pattern.test(text) && !pattern.test(reference ?? ''));
  },
  refusal: (text, { reference }) => refused.test(text) && !refused.test(reference ?? ''),
  broken_escape: (text, { prompt, reference }) => isOwn(text, { prompt, reference: reference ?? null }, brokenEscape),
  copy_of_reference: (text, { reference }) => typeof reference === 'string' && sameText(text, reference),
};

/** True when `text` matches and nothing it was made from does. */
function isOwn(text: string, { prompt, reference, draft }: AnswerContext, pattern: RegExp): boolean {
  if (!pattern.test(text)) return false;
  return ![...prompt.map(({ content }) => content), reference ?? '', draft ?? ''].some((source) => pattern.test(source));
}

const fold = (text: string): string => text.toLowerCase().replaceAll(/[\s*_"“”]+/g, ' ');

/** Markers of blocks as fillPrompt writes them, whatever their width, wider ones of turns (`[user]` alone is a common text), and unfilled places. */
const marker = new RegExp(String.raw`\[+/?(?:${blockNames.join('|')})\]+|\[{2,}(?:system|user|assistant)\]{2,}|\{\{(?:prompt|draft|reference) as [A-Za-z-]+\}\}`);

/** Sentences of our instructions that nobody writes by chance: six words or more. */
const instructions: readonly string[] = [...new Set(
  Object.values(promptTemplates)
    .flatMap(({ text }) => text.replaceAll(/\{\{[^}]*\}\}/g, '\n').split(/(?<=[.;:])\s|\n/))
    .filter((sentence) => sentence.split(/\s+/).filter((word) => word !== '').length >= 6)
    .map((sentence) => fold(sentence).trim().replace(/[.;:]$/, '')),
)];

const better = '(?:improved|revised|refined|enhanced|corrected|rewritten|edited|polished|updated|better|new)';
const answer = '(?:version|answer|response|draft|reply)';
/** "Improved response:", "Response-B:", "New version of response-B:". */
const labelled = new RegExp(String.raw`^[\s*_#"'>-]*(?:(?:the |an? |my )?${better} ${answer}(?: of response-[ab])?|(?:${better} )?response-[ab](?: \(?${better}\)?)?)[\s*_"')]*:`, 'i');
/** "Here is the improved answer", "Sure! Below is a revised version of the response". */
const announced = new RegExp(
  String.raw`^[\s*_#"'>-]*(?:(?:sure|certainly|of course|okay|ok)[,.!]*\s+)?(?:here(?:'s|’s| is| are)|below is|this is)\s+(?:an?|the|my|your)\s+${better}\s+(?:and \w+ )?${answer}\b`, 'i',
);
/** The names our teaching prompt gives to the two answers; nothing else calls them so. */
const ourNames = /\bresponse-[ab]\b/i;
/** "I have revised the answer …" at the start, "Changes made:" on a line of its own. */
const reported = new RegExp(
  String.raw`^[\s*_#"'>-]*i(?:['’]ve| have) (?:improved|revised|refined|enhanced|corrected|rewritten|edited|polished|updated) (?:the|your|this) (?:original |draft |given )?${answer}\b`
  + String.raw`|(?:^|\n)[\s*_#(\[-]*(?:(?:summary|explanation|list) of (?:the )?(?:changes|edits|improvements)|(?:changes|edits|improvements|corrections) (?:i )?made)[\s*_]*:`, 'i',
);
/** Prompts whose true answer may well open with "Here is a revised version". */
const rewriting = /\b(?:improv|revis|re-?writ|re-?phras|paraphras|edit|correct|refin|enhanc|polish|proofread|fix|updat|shorten|simplif|version|draft)/i;

const assistant = '(?: language)?(?: model| assistant)?';
const sorry = String.raw`(?:(?:(?:i['’]m|i am)\s+(?:very |so |really )?sorry|sorry|i apologi[sz]e|unfortunately|as an ai${assistant})?[,.;]?\s*(?:but )?(?:as an ai${assistant},? )?)`;
/** "I can't help but …" and "I cannot provide a definitive answer, but …" answer all the same. */
const task = '(?:help(?! but\\b)|assist|fulfil|comply|provide(?! (?:you with )?an? (?:definit|exact|precise|specific|certain|direct|full|complete))'
  + '|complete|answer|generate|engage|support|do that|discuss|write|create|continue)';
const unable = String.raw`(?:can['’]?t|cannot|can not|won['’]t|will not|(?:not able|unable) to)\s+${task}`;
const declines = String.raw`(?:must|have to|need to) (?:respectfully |politely )?(?:decline|refuse)(?: (?:to|this|that|your|the request|answering)\b|\s*[.,;!]|$)`;
const uneasy = String.raw`(?:don['’]t feel|do not feel|not) comfortable\b`;
const refused = new RegExp(String.raw`^[\s*_"']*${sorry}i(?:['’]m| am)?\s*(?:${declines}|${uneasy}|${unable})`, 'i');

/**
 * A curly quote or dash whose escape lost its backslash ("It2019s", "201cYes201d"), was never read ("\u2019", "\xe2\x80\x99"), or whose bytes were
 * read in the wrong encoding ("Itâ€™s").
 */
const brokenEscape = new RegExp([
  String.raw`[a-z]u?2019(?:s|t|re|ve|ll|d|m)\b`, String.raw`\bu20(?:18|19|1[cd]|13|14|26)[a-z]`, String.raw`\b201c[a-z][^\n]{0,200}?[a-z.,!?]201d\b`,
  String.raw`\\u20(?:18|19|1[cd]|13|14|26)`, String.raw`\\xe2\\x80\\x9[3489cd]`, 'â€[™œ˜“”¦\u009d]',
].join('|'), 'i');
