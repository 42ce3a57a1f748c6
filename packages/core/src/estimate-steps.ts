/** What each step of a plan would read and write, from the sizes of its data sets alone. */
import type { SetSize } from './estimate-sets.ts';
import type { Plan, PromptName, RowSpace, StepPlan } from './plan.ts';
import { promptTemplates } from './prompts.ts';

/** Characters a token, where nothing is known of the tokenizer. */
export const charactersPerToken = 4;
const tokensOf = (characters: number): number => Math.ceil(characters / charactersPerToken);

/**
 * Rows and tokens of a step. Behind the first sampling they are the most there can be: no row is dropped, every answer is as long as it may be.
 * `promptTokens` are read, `completionTokens` written, or learnt in a training: there, of all epochs.
 */
export interface StepSize { readonly rows: number; readonly promptTokens: number; readonly completionTokens: number }

const nothing: StepSize = { rows: 0, promptTokens: 0, completionTokens: 0 };

/** Sizes by key of the step. Throws TypeError when a set that the plan reads has no size. */
export function sizeSteps(plan: Plan, sets: Readonly<Partial<Record<RowSpace, SetSize>>>): ReadonlyMap<string, StepSize> {
  const sizes = new Map<string, StepSize>();
  const steps = new Map(plan.steps.map((step) => [step.key, step]));
  const sizeOf = (key: string | undefined): StepSize => (key === undefined ? nothing : sizes.get(key) ?? nothing);
  const setOf = (space: RowSpace | null): SetSize => {
    const size = space === null ? undefined : sets[space];
    if (size === undefined) throw new TypeError(`the size of the set ${String(space)} is missing`);
    return size;
  };

  function promptTokens(prompt: PromptName, set: SetSize, draft: string | undefined): number {
    const { characters, rows } = set;
    if (prompt === 'plain') return tokensOf(characters.prompt);
    const { text, slots } = promptTemplates[prompt];
    const known = text.length * rows + (slots.includes('prompt') ? characters.prompt : 0) + (slots.includes('reference') ? characters.answer : 0);
    return tokensOf(known) + (slots.includes('draft') ? sizeOf(draft).completionTokens : 0);
  }

  function sizeStep(step: StepPlan): StepSize {
    const { inputs } = step;
    switch (step.kind) {
      case 'import-model': case 'preview': case 'report': return nothing;
      case 'ingest': return { ...nothing, rows: setOf(step.space).rows };
      case 'generate': case 'teach': {
        const set = setOf(step.space);
        const longest = step.kind === 'generate' ? step.parameters.sampling.maxNewTokens : step.parameters.teacher.maxTokens;
        return { rows: set.rows, promptTokens: promptTokens(step.parameters.prompt, set, inputs['draft']), completionTokens: set.rows * longest };
      }
      case 'score': {
        const set = setOf(step.space);
        const answers = step.parameters.of === 'reference' ? tokensOf(set.characters.answer) : sizeOf(inputs['answers']).completionTokens;
        return { rows: set.rows, promptTokens: tokensOf(set.characters.prompt) + answers, completionTokens: 0 };
      }
      case 'filter': return { ...nothing, rows: sizeOf(inputs['external']).rows + sizeOf(inputs['improved']).rows };
      case 'build-sft': return sizeImproverSet(step);
      case 'sft': {
        const dataset = steps.get(inputs['dataset'] ?? '');
        const { epochs } = step.parameters.training;
        if (dataset?.kind === 'build-sft') return times(sizeImproverSet(dataset), epochs);
        const { rows, characters } = setOf(dataset?.space ?? null);
        return times({ rows, promptTokens: tokensOf(characters.prompt), completionTokens: tokensOf(characters.answer) }, epochs);
      }
      case 'pair': return { ...nothing, rows: sizeOf(inputs['rows']).rows };
      case 'dpo': {
        const pair = steps.get(inputs['dataset'] ?? '');
        return pair?.kind === 'pair' ? times(sizePairs(pair), step.parameters.preference.epochs) : nothing;
      }
      case 'measure': return { ...nothing, rows: sizeOf(inputs['answers']).rows };
    }
  }

  function sizeImproverSet(step: Extract<StepPlan, { readonly kind: 'build-sft' }>): StepSize {
    const set = setOf(steps.get(step.inputs['rows'] ?? '')?.space ?? null);
    const targets = [step.inputs['external'], step.inputs['improved']].flatMap((key) => (key === undefined ? [] : [sizeOf(key)]));
    const rows = targets.reduce((sum, size) => sum + size.rows, 0);
    const { replay } = step.parameters.rules;
    const replayed = Math.round((rows * replay) / (1 - replay));
    const aRow = (tokens: number): number => (set.rows === 0 ? 0 : Math.ceil((tokens * replayed) / set.rows));
    return {
      rows: rows + replayed,
      promptTokens: targets.length * promptTokens(step.parameters.prompt, set, step.inputs['draft']) + aRow(tokensOf(set.characters.prompt)),
      completionTokens: targets.reduce((sum, size) => sum + size.completionTokens, 0) + aRow(sizeOf(step.inputs['draft']).completionTokens),
    };
  }

  /** A pair is its prompt twice, and both answers. */
  function sizePairs(step: Extract<StepPlan, { readonly kind: 'pair' }>): StepSize {
    const set = setOf(steps.get(step.inputs['rows'] ?? '')?.space ?? null);
    const chosen = step.parameters.chosen === 'refined' ? sizeOf(step.inputs['chosen']).completionTokens : tokensOf(set.characters.answer);
    const rejected = step.parameters.rejected === 'sampled' ? sizeOf(step.inputs['rejected']).completionTokens : tokensOf(set.characters.rejected);
    return { rows: set.rows, promptTokens: 2 * tokensOf(set.characters.prompt), completionTokens: chosen + rejected };
  }

  for (const step of plan.steps) sizes.set(step.key, sizeStep(step));
  return sizes;
}

const times = ({ rows, promptTokens, completionTokens }: StepSize, epochs: number): StepSize =>
  ({ rows, promptTokens: Math.ceil(promptTokens * epochs), completionTokens: Math.ceil(completionTokens * epochs) });
