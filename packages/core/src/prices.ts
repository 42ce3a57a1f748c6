/** What teachers cost, as data: list prices of well-known APIs. A spec's own price comes first; a model that is not listed has no known price. */
import type { TeacherOptions } from './spec.ts';

/** Currency units (US dollars in the table) per million tokens. */
export interface Price { readonly promptPerMillion: number; readonly completionPerMillion: number }

/** From the provider's public price list of 2025: check it against your contract before you rely on a budget in currency. */
const prices: Readonly<Record<string, Price>> = {
  'gpt-4-turbo': { promptPerMillion: 10, completionPerMillion: 30 },
  'gpt-4o': { promptPerMillion: 2.5, completionPerMillion: 10 },
  'gpt-4o-mini': { promptPerMillion: 0.15, completionPerMillion: 0.6 },
  'gpt-4.1': { promptPerMillion: 2, completionPerMillion: 8 },
  'gpt-4.1-mini': { promptPerMillion: 0.4, completionPerMillion: 1.6 },
  'gpt-4.1-nano': { promptPerMillion: 0.1, completionPerMillion: 0.4 },
};

/** A batch costs half. */
const batchFactor = 0.5;

/** Price of a call in the teacher's mode; null when nobody knows it. Dated names (`gpt-4o-2024-08-06`) have the price of the plain one. */
export function priceOf({ source, baseUrl, model, price, mode }: Pick<TeacherOptions, 'source' | 'baseUrl' | 'model' | 'price' | 'mode'>): Price | null {
  if (source !== 'endpoint') return { promptPerMillion: 0, completionPerMillion: 0 };
  const listed = price ?? listPrice(baseUrl, model);
  if (listed === null || mode === 'requests') return listed;
  return { promptPerMillion: listed.promptPerMillion * batchFactor, completionPerMillion: listed.completionPerMillion * batchFactor };
}

/** The table speaks of one provider: a model of the same name on another server may cost anything. */
function listPrice(baseUrl: string | null, model: string | null): Price | null {
  if (baseUrl === null || model === null || new URL(baseUrl).hostname !== 'api.openai.com') return null;
  const plain = model.replace(/-\d{4}-\d{2}-\d{2}$/, '');
  return Object.hasOwn(prices, plain) ? prices[plain] ?? null : null;
}

/** Cost of tokens in currency; null without a price. */
export const costOf = (price: Price | null, tokens: { readonly promptTokens: number; readonly completionTokens: number }): number | null =>
  (price === null ? null : (tokens.promptTokens * price.promptPerMillion + tokens.completionTokens * price.completionPerMillion) / 1e6);

/** Cost of what a run's teacher was asked; 0 for a run without one, null without a price. */
export const costOfTeacher = (teacher: TeacherOptions | null, tokens: Parameters<typeof costOf>[1]): number | null => (teacher === null ? 0 : costOf(priceOf(teacher), tokens));
