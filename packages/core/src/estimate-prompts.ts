/** The first prompts of every template, as they will be sent. */
import type { Plan, PromptName, RowSpace, StepPlan } from './plan.ts';
import { fillPrompt, promptTemplates } from './prompts.ts';
import type { IngestedRow } from './rows.ts';
import type { Message } from './spec.ts';

export interface PromptExample {
  readonly prompt: PromptName;
  /** Key of the first step that asks this way. */
  readonly step: string;
  readonly rows: { id: string; messages: Message[] }[];
  /** Parts that the run fills in, and what stands for them here. */
  readonly placeholders: string[];
}

/** Stands for an answer that the run samples. No text of a data set is taken for it: it is filled in as any text is. */
const draftMarks: Readonly<Partial<Record<RowSpace, string>>> = { improver: '‹y₀: sampled by the run›', policy: '‹y: sampled by the run›' };

/** One example for each template and set, from the rows given as the head of the set. */
export function showPrompts(plan: Plan, heads: Readonly<Partial<Record<RowSpace, readonly IngestedRow[]>>>): PromptExample[] {
  const seen = new Set<string>();
  return plan.steps.flatMap((step) => {
    const asked = promptOf(step);
    if (asked === null || seen.has(`${asked.prompt} ${asked.space}`)) return [];
    seen.add(`${asked.prompt} ${asked.space}`);
    return [showPrompt(step.key, asked, heads[asked.space] ?? [])];
  });
}

interface Asked { readonly prompt: PromptName; readonly space: RowSpace }

function promptOf(step: StepPlan): Asked | null {
  if ((step.kind === 'generate' || step.kind === 'teach') && step.space !== null) return { prompt: step.parameters.prompt, space: step.space };
  return step.kind === 'build-sft' ? { prompt: step.parameters.prompt, space: 'improver' } : null;
}

function showPrompt(step: string, { prompt, space }: Asked, head: readonly IngestedRow[]): PromptExample {
  const draft = draftMarks[space] ?? '‹sampled by the run›';
  const isDrafted = prompt !== 'plain' && promptTemplates[prompt].slots.includes('draft');
  return {
    prompt, step, rows: head.flatMap((row) => (row.kind === 'answer' ? [{ id: row.id, messages: [...fillPrompt(prompt, { prompt: row.prompt, reference: row.response, draft })] }] : [])),
    placeholders: isDrafted ? [`draft: ${draft}`, 'brackets of the marks: one more than the longest run of square brackets in the texts, so a draft that has some adds to them'] : [],
  };
}
