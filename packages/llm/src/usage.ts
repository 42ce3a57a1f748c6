import { costOf, priceOf, type EndpointTeacher } from '@sgpo/core';
import type { Completion } from './completion.ts';

/** What was spent. Tokens and cost are those of `calls`, the answers paid for now; `reused` answers came from the ledger and cost nothing. */
export interface TeacherUsage {
  readonly calls: number;
  readonly reused: number;
  /** Batches whose answers were collected. */
  readonly batches: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** In the currency of the price (the spec's, or that of the price table); null without one, or when the teacher answered without counting its tokens. */
  readonly cost: number | null;
}

export interface UsageMeter {
  addPaid(completion: Completion): void;
  addReused(): void;
  addBatch(): void;
  read(): TeacherUsage;
}

export function createUsageMeter(teacher: EndpointTeacher): UsageMeter {
  let calls = 0;
  let reused = 0;
  let batches = 0;
  let promptTokens = 0;
  let completionTokens = 0;
  let uncounted = 0;
  return {
    addPaid: ({ tokens }) => {
      calls += 1;
      if (tokens === null) { uncounted += 1; return; }
      promptTokens += tokens.prompt;
      completionTokens += tokens.completion;
    },
    addReused: () => { reused += 1; },
    addBatch: () => { batches += 1; },
    read: () => ({ calls, reused, batches, promptTokens, completionTokens, cost: uncounted > 0 ? null : costOf(priceOf(teacher), { promptTokens, completionTokens }) }),
  };
}
