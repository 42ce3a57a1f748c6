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

    async record(key, model, { text, finishReason, promptTokens, completionTokens }) {
      const answer: StoredAnswer = { text, finishReason };
      await client.ledgerEntry.createMany({
        data: [{ key, model: String(cleanValue(model)), answer: Buffer.from(JSON.stringify(answer), 'utf8'), promptTokens, completionTokens }], skipDuplicates: true,
      });
    },
  };
}
