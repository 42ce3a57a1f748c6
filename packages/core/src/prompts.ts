/**
 * The prompts of the method (p_ref, p_train and p_refine of Section 3, arXiv 2507.20181), in wording of our own.
 * Fixed instructions stand first, so that an engine can cache the prefix; what a row brings follows in marked blocks.
 */
import { hashCanonical } from './canonical-hash.ts';
import type { PromptName } from './plan.ts';
import type { Message } from './spec.ts';

/** What a row may bring: x, y₀ or y, y_sft. */
export type Slot = 'prompt' | 'draft' | 'reference';

/** `text` holds `{{slot as label}}` where the block `label` with the text of `slot` goes. */
export interface PromptTemplate {
  readonly name: Exclude<PromptName, 'plain'>;
  /** Raised with the text, and with the way blocks are written. */
  readonly version: number;
  readonly text: string;
  readonly slots: readonly Slot[];
}

const improveText = (referenceBlock: string): string => `Below are a draft answer with mistakes and the prompt it answers. Write an improved draft: \
correct the mistakes, keep what is good.

{{draft as draft}}

${referenceBlock}{{prompt as prompt}}`;

const withoutReference = { version: 1, text: improveText(''), slots: ['draft', 'prompt'] } as const;
const withReference = {
  version: 1, text: improveText('A correct answer, as a guide:\n{{reference as reference}}\n\n'), slots: ['draft', 'reference', 'prompt'],
} as const;

/** p_train and p_refine are one text, with or without the reference: what the improver learns is what it is later asked. */
export const promptTemplates: Readonly<Record<Exclude<PromptName, 'plain'>, PromptTemplate>> = {
  'teach': {
    name: 'teach', version: 1, slots: ['prompt', 'reference', 'draft'],
    text: `Two responses to the prompt below are given. Response-A has high quality, response-B has low quality. \
Write an improved version of response-B, using response-A as the guide. Stay close to response-B: keep the edit distance to it small. \
The quality of the new response must be at most that of response-A. Write only the new response, without comments.

{{prompt as prompt}}

{{reference as response-A}}

{{draft as response-B}}`,
  },
  'train': { name: 'train', ...withoutReference },
  'refine-without-reference': { name: 'refine-without-reference', ...withoutReference },
  'train-with-reference': { name: 'train-with-reference', ...withReference },
  'refine': { name: 'refine', ...withReference },
};

/** The place of a block in a template: slot and label. */
const placeholder = /\{\{(prompt|draft|reference) as ([A-Za-z-]+)\}\}/g;

/** Names that stand in the markers of blocks. */
export const blockNames: readonly string[] = [
  ...new Set(Object.values(promptTemplates).flatMap(({ text }) => [...text.matchAll(placeholder)].map((match) => match[2] ?? ''))),
];

/** sha256 (hex) of a prompt's text and version. The name does not enter: equal texts have equal hashes. */
export function promptHash(name: PromptName): string {
  if (name === 'plain') return hashCanonical({ plain: true });
  const { text, version } = promptTemplates[name];
  return hashCanonical({ text, version });
}

/**
 * The messages a model is given for a row. `plain` is the conversation itself; every other prompt is one user message.
 *
 * A block is `[label]` … `[/label]`, and a conversation of several turns puts `[role]` before each. The run of square brackets is
 * longer than any run in the row's texts, as Markdown fences grow, so that no text can end its block, open another or forge a turn; and
 * placeholders are replaced in one pass over the template, so that one inside a text is text.
 *
 * Throws TypeError naming the slot when the template needs one that the row lacks.
 */
export function fillPrompt(
  name: PromptName, row: { readonly prompt: readonly Message[]; readonly draft?: string; readonly reference?: string },
): readonly Message[] {
  if (row.prompt.length === 0) throw new TypeError(`prompt "${name}": slot "prompt" is empty; give at least one message`);
  if (name === 'plain') return row.prompt;
  const { text, slots } = promptTemplates[name];
  const used = slots.flatMap((slot) => (slot === 'prompt' ? row.prompt.map(({ content }) => content) : [slotText(name, slot, row[slot])]));
  const width = 1 + Math.max(...used.map(longestBracketRun));
  const mark = (label: string): string => `${'['.repeat(width)}${label}${']'.repeat(width)}`;
  const content = text.replace(placeholder, (_, slot: Slot, label: string) => {
    const body = slot === 'prompt' ? renderConversation(row.prompt, mark) : slotText(name, slot, row[slot]);
    return `${mark(label)}\n${body}\n${mark(`/${label}`)}`;
  });
  return [{ role: 'user', content }];
}

function slotText(name: PromptName, slot: Slot, text: string | undefined): string {
  if (text === undefined) throw new TypeError(`prompt "${name}": slot "${slot}" is missing; give the row's ${slot}`);
  return text;
}

/** One user turn is its own text; anything longer is labelled turn by turn. */
function renderConversation(turns: readonly Message[], mark: (label: string) => string): string {
  const [first] = turns;
  if (turns.length === 1 && first?.role === 'user') return first.content;
  return turns.map(({ role, content }) => `${mark(role)}\n${content}`).join('\n');
}

function longestBracketRun(text: string): number {
  let longest = 0;
  for (const [run] of text.matchAll(/\[+|\]+/g)) longest = Math.max(longest, run.length);
  return longest;
}
