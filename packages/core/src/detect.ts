/**
 * Faults of generated answers that would teach a model the wrong thing, each with a reason code. Conservative: what the prompt, the reference
 * or (for markers and marks of encoding) the draft also holds is the row's own matter and no fault.
 */
import { blockNames, promptTemplates } from './prompts.ts';
import { isStorable } from './rows.ts';
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
  meta_talk: (text, { prompt, reference }) => {
    if (labelled.test(text) && !labelled.test(reference ?? '')) return true;
    const asksForRewriting = rewriting.test(prompt.findLast(({ role }) => role === 'user')?.content ?? '');
    return announced.test(text) && !asksForRewriting && !announced.test(reference ?? '');
  },
  refusal: (text, { reference }) => refused.test(text) && !refused.test(reference ?? ''),
  broken_escape: (text, { prompt, reference }) => isOwn(text, { prompt, reference: reference ?? null }, brokenEscape),
  copy_of_reference: (text, { reference }) => typeof reference === 'string' && text.trim() === reference.trim(),
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
/** Prompts whose true answer may well open with "Here is a revised version". */
const rewriting = /\b(?:improv|revis|re-?writ|re-?phras|paraphras|edit|correct|refin|enhanc|polish|proofread|fix|updat|shorten|simplif|version|draft)/i;

const refused = new RegExp(
  String.raw`^[\s*_"']*(?:(?:i['’]m|i am)\s+(?:very |so |really )?sorry|sorry|i apologi[sz]e|unfortunately|as an ai(?: language)?(?: model| assistant)?)?[,.;]?\s*(?:but )?(?:as an ai(?: language)?(?: model| assistant)?,? )?`
  + String.raw`i(?:['’]m| am)?\s*(?:can['’]?t|cannot|can not|won['’]t|will not|(?:not able|unable) to)\s+(?:help(?! but\b)|assist|fulfil|comply|provide(?! (?:you with )?an? (?:definit|exact|precise|specific|certain|direct|full|complete))|complete|answer|generate|engage|support|do that|discuss|write|create|continue)`, 'i',
);

/** A curly quote or dash whose escape lost its backslash ("It2019s", "don2019t"), or was never read ("\u2019"). */
const brokenEscape = /[a-z](?:u?2019)(?:s|t|re|ve|ll|d|m)\b|\bu20(?:18|19|1[cd]|13|14|26)[a-z]|\\u20(?:18|19|1[cd]|13|14|26)/i;
