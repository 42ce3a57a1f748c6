import { createHeldOutMeasure } from '@sgpo/core';
import { tableSchemas } from '../table-schemas.ts';
import { answerOf } from './answer-row.ts';
import { tableResult, type LocalStep } from './local-task.ts';

/** The measures of one model on the held-out prompts. */
export const measure: LocalStep<'measure'> = async ({ services }, spec) => {
  const { answers, scores } = spec.inputs;
  if (answers === undefined || scores === undefined) throw new TypeError('measure needs answers and scores');
  const measured = createHeldOutMeasure();
  const joined = services.tables.join({
    answers: { source: answers, columns: { answerText: 'text', answerFinish: 'finish_reason', answerDrop: 'drop_reason', completionTokens: 'completion_tokens' } },
    scores: { source: scores, columns: { sumLogprob: 'sum_logprob', tokens: 'tokens', chrf: 'chrf', scoreDrop: 'drop_reason' } },
  });
  for await (const row of joined) {
    measured.add({
      answer: { ...answerOf(row, 'answer'), completionTokens: row['completionTokens'] as number | null },
      score: { sumLogprob: row['sumLogprob'] as number | null, tokens: row['tokens'] as number | null, chrf: row['chrf'] as number | null, dropReason: row['scoreDrop'] as string | null },
    });
  }
  const result = measured.result();
  const published = await services.tables.write(tableSchemas.measures, [{
    model: spec.parameters.model, reference_perplexity: result.referencePerplexity, chrf: result.chrf, length: result.length, unfinished: result.unfinished, rows: result.rows,
  }]);
  const { rows, dropped } = result;
  const lost = Object.values(dropped).reduce((sum, n) => sum + n, 0);
  return tableResult(published, { rowsIn: rows + lost, rowsOut: rows, dropped }, { stats: { model: spec.parameters.model, ...result } });
};
