import type { Client } from '../client.ts';
import type { LedgerAnswer, LedgerRepository } from '../repositories.ts';
import { cleanValue } from '../text.ts';

/** Answers are kept as bytes, to the last character: JSON writes the halves of surrogate pairs as escapes. */
interface StoredAnswer { readonly text: string; readonly finishReason: string }

export function createLedgerRepository(client: Client): LedgerRepository {
  return {
    async find(keys) {
      const rows = await client.ledgerEntry.findMany({ where: { key: { in: [...keys] } } });
      return new Map<string, LedgerAnswer>(rows.map((row) => {
        const { text, finishReason } = JSON.parse(Buffer.from(row.answer).toString('utf8')) as StoredAnswer;
        return [row.key, { text, finishReason, promptTokens: row.promptTokens, completionTokens: row.completionTokens }];
      }));
    },

    // One statement, so that an answer is never kept without its charge. It does not wait for changes of the run.
    async record(key, model, { text, finishReason, promptTokens, completionTokens }, runId) {
      const answer: StoredAnswer = { text, finishReason };
      await client.$executeRaw`
        WITH recorded AS (
          INSERT INTO ledger (key, model, answer, prompt_tokens, completion_tokens)
          VALUES (${key}, ${String(cleanValue(model))}, ${Buffer.from(JSON.stringify(answer), 'utf8')}, ${promptTokens}, ${completionTokens})
          ON CONFLICT (key) DO NOTHING RETURNING prompt_tokens, completion_tokens
        )
        INSERT INTO teacher_spend (run_id, calls, prompt_tokens, completion_tokens)
        SELECT ${runId}::text, 1, prompt_tokens, completion_tokens FROM recorded WHERE ${runId}::text IS NOT NULL
        ON CONFLICT (run_id) DO UPDATE SET calls = teacher_spend.calls + 1,
          prompt_tokens = teacher_spend.prompt_tokens + excluded.prompt_tokens, completion_tokens = teacher_spend.completion_tokens + excluded.completion_tokens`;
    },

    async spent(runId) {
      const row = await client.teacherSpend.findUnique({ where: { runId } });
      return { calls: row?.calls ?? 0, promptTokens: Number(row?.promptTokens ?? 0), completionTokens: Number(row?.completionTokens ?? 0) };
    },
  };
}
