/** Measures of one model on the held-out prompts. They need no judge. */

/** A generated answer's row. */
export interface MeasuredAnswer { readonly text: string | null; readonly finishReason: string | null; readonly completionTokens: number | null; readonly dropReason: string | null }
/** The held-out reference's score under the model, and the answer's chrF against it. */
export interface MeasuredScore { readonly sumLogprob: number | null; readonly tokens: number | null; readonly chrf: number | null; readonly dropReason: string | null }

/** All measures speak of the same `rows`, those with neither answer nor score dropped; null when there is none to measure. */
export interface HeldOutMeasures {
  /** exp of the mean negative log-probability a token, over the tokens of all references; end tokens excluded. */
  readonly referencePerplexity: number | null;
  /** Mean chrF (0…100) of the answers against the references. */
  readonly chrf: number | null;
  /** Mean tokens of an answer. */
  readonly length: number | null;
  /** Share (0…1) of answers that reached the token limit. */
  readonly unfinished: number | null;
  readonly rows: number;
  /** Rows left out, by `answer_<reason>` or `score_<reason>`; rows in = rows + Σ dropped. */
  readonly dropped: Readonly<Record<string, number>>;
}

export interface HeldOutMeasure {
  add(row: { readonly answer: MeasuredAnswer; readonly score: MeasuredScore }): void;
  result(): HeldOutMeasures;
}

export function createHeldOutMeasure(): HeldOutMeasure {
  const dropped: Record<string, number> = {};
  let rows = 0;
  let unfinished = 0;
  let sumLogprob = 0;
  let tokens = 0;
  let completionTokens = 0;
  let chrf = 0;
  const mean = (sum: number): number | null => (rows === 0 ? null : sum / rows);
  return {
    add({ answer, score }) {
      const reason = dropReasonOf(answer, score);
      if (reason !== null) {
        dropped[reason] = (dropped[reason] ?? 0) + 1;
        return;
      }
      rows += 1;
      if (answer.finishReason === 'length') unfinished += 1;
      sumLogprob += score.sumLogprob ?? 0;
      tokens += score.tokens ?? 0;
      completionTokens += answer.completionTokens ?? 0;
      chrf += score.chrf ?? 0;
    },
    result: () => ({
      referencePerplexity: tokens === 0 ? null : Math.exp(-sumLogprob / tokens),
      chrf: mean(chrf), length: mean(completionTokens), unfinished: mean(unfinished), rows, dropped: { ...dropped },
    }),
  };
}

/** A value that is missing without a reason leaves the row out too: no measure takes it for 0. */
function dropReasonOf(answer: MeasuredAnswer, score: MeasuredScore): string | null {
  if (answer.dropReason !== null) return `answer_${answer.dropReason}`;
  if (score.dropReason !== null) return `score_${score.dropReason}`;
  if (answer.completionTokens === null) return 'answer_missing_value';
  return [score.sumLogprob, score.tokens, score.chrf].every((value) => value !== null && Number.isFinite(value)) ? null : 'score_missing_value';
}
