/** A preview: what the first rows of a run look like after every step but training. */
import type { Answer, DataRow } from './answers.ts';
import { buildGivenPair, buildPair } from './pairs.ts';
import type { GivenRow } from './pairs.ts';
import type { PromptName } from './plan.ts';
import { buildSftRow } from './sft-rows.ts';
import type { Message, RecipeOptions, RuleOptions, RunSpec } from './spec.ts';

export interface PreviewRow {
  readonly space: 'improver' | 'policy' | 'preferences';
  readonly id: string;
  readonly prompt: readonly Message[];
  /** y_sft; null for given pairs. */
  readonly reference: string | null;
  /** y₀. */
  readonly draft: string | null;
  /** ŷ. */
  readonly improved: string | null;
  /** y_ext. */
  readonly external: string | null;
  /** y⁺, or the chosen side of a given pair. */
  readonly chosen: string | null;
  /** y, or the rejected side of a given pair. */
  readonly rejected: string | null;
  /** Under π₀; null where it was not taken. */
  readonly perplexity: { readonly improved: number | null; readonly external: number | null };
  /** improved, external, pair → `kept`, or the reason against it. */
  readonly verdicts: Readonly<Record<string, string>>;
}

export interface PreviewResult {
  readonly rows: readonly PreviewRow[];
  readonly spent: { readonly calls: number; readonly promptTokens: number; readonly completionTokens: number; readonly cost: number | null };
  /** What a preview is not. */
  readonly notes: readonly string[];
}

/** A target of the improver with what the scorer and the filter said of it. */
export interface PreviewTarget { readonly answer: Answer; readonly perplexity: number | null; readonly verdict: { readonly dropReason: string | null } | null }

const nothing = { reference: null, draft: null, improved: null, external: null, chosen: null, rejected: null, perplexity: { improved: null, external: null } } as const;
const verdictOf = (built: object): string => ('dropReason' in built ? String(built.dropReason) : 'kept');

/** A row of the improver set. Targets that the recipe has not are null. */
export function previewImproverRow(
  { row, draft, improved, external }: { readonly row: DataRow; readonly draft: Answer; readonly improved: PreviewTarget | null; readonly external: PreviewTarget | null },
  { prompt, rules }: { readonly prompt: PromptName; readonly rules: RuleOptions },
): PreviewRow {
  const verdicts: Record<string, string> = {};
  for (const [name, target] of [['improved', improved], ['external', external]] as const) {
    if (target !== null) verdicts[name] = verdictOf(buildSftRow({ row, draft, target: target.answer, verdict: target.verdict, prompt, rules }));
  }
  return {
    ...nothing, space: 'improver', id: row.id, prompt: row.prompt, reference: row.response, draft: draft.text, improved: improved?.answer.text ?? null, external: external?.answer.text ?? null,
    perplexity: { improved: improved?.perplexity ?? null, external: external?.perplexity ?? null }, verdicts,
  };
}

/** A row of the policy set. `refined` null: the reference is chosen. */
export function previewPolicyRow({ row, rejected, refined }: { readonly row: DataRow; readonly rejected: Answer; readonly refined: Answer | null }, rules: RuleOptions): PreviewRow {
  const chosen = refined ?? { text: row.response, finishReason: 'stop', dropReason: null };
  return {
    ...nothing, space: 'policy', id: row.id, prompt: row.prompt, reference: row.response, chosen: chosen.text, rejected: rejected.text,
    verdicts: { pair: verdictOf(buildPair({ row, rejected, chosen, chosenIsReference: refined === null, rules })) },
  };
}

export const previewGivenRow = (row: GivenRow): PreviewRow =>
  ({ ...nothing, space: 'preferences', id: row.id, prompt: row.prompt, chosen: row.chosen, rejected: row.rejected, verdicts: { pair: verdictOf(buildGivenPair({ row })) } });

/** What the rows of a preview must not be taken for. */
export function previewNotes({ recipe, data }: Pick<RunSpec, 'recipe' | 'data'>): string[] {
  const { improver, chosen, rounds } = recipe;
  const trains = improver === 'shared' || improver === 'separate';
  return [
    ...(data.sft === null ? [] : ['Nothing is trained: the base model stands in for π₀, the model after Step 0.']),
    ...(trains && rounds > 0 ? [standIn(recipe)] : []),
    ...(trains ? ['The filter takes its quartiles from the rows of the preview alone: in the run its fences lie elsewhere.'] : []),
    ...(rounds > 0 && chosen !== 'given' ? ['Whether a pair keeps two different answers after they are cut to the longest length is told by the training only.'] : []),
    'Rows are the first of each set, rounded up to whole blocks: the run that follows finds their answers in the cache where it asks the same.',
  ];
}

const standIn = ({ chosen }: RecipeOptions): string =>
  (chosen === 'refined' ? 'Nothing is trained: π₀ stands in for the improver π*, which refines better.' : 'Nothing is trained: π₀ stands in for π*.');
