import { createHash } from 'node:crypto';
import type { Message, TeacherOptions } from '@sgpo/core';

/** A paid answer as it is kept: the text without trailing white space, and the tokens the teacher counted (0 where it counted none). */
export interface LedgerAnswer { readonly text: string; readonly finishReason: string; readonly promptTokens: number; readonly completionTokens: number }

/** Where paid answers are kept. An answer is recorded before it is handed on, so that a crash never pays for it twice. */
export interface Ledger {
  find(keys: readonly string[]): Promise<ReadonlyMap<string, LedgerAnswer>>;
  /** The first answer for a key stays. */
  record(key: string, model: string, answer: LedgerAnswer): Promise<void>;
}

/** The options an answer depends on. Neither the address nor the mode is one: the same model behind another port, or asked in a batch, gives no other answer. */
export type AnswerOptions = Pick<TeacherOptions, 'model' | 'temperature' | 'topP' | 'maxTokens' | 'seed'>;

/** sha256 (lower-case hex) of the canonical JSON of all that an answer depends on: members in the order of their names, no white space. */
export function ledgerKey(options: AnswerOptions, messages: readonly Message[], sample: number): string {
  const json = JSON.stringify({
    maxTokens: options.maxTokens,
    messages: messages.map(({ role, content }) => ({ content, role })),
    model: options.model,
    sample,
    seed: options.seed,
    temperature: options.temperature,
    topP: options.topP,
  });
  return createHash('sha256').update(json, 'utf8').digest('hex');
}
