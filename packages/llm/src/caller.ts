import type { EndpointTeacher, Message } from '@sgpo/core';
import { readCompletion, type Completion } from './completion.ts';
import type { Connection, ExchangeResult } from './connection.ts';
import type { Endpoint, LimitName, Verdict } from './limits.ts';
import { sumOf, worstOf } from './tokens.ts';

export interface PaidRequest { readonly messages: readonly Message[]; readonly sample: number }

/** An answer that was paid for, or the server's refusal of this one request. */
type CallResult = Exclude<ExchangeResult<Completion>, { kind: 'gone' }>;

/** Sends one request, in its turn, until it has a result. Throws as Connection.call does; TEACHER.REFUSED also when all that was sent so far was rejected. */
export type Caller = (request: PaidRequest, signal: AbortSignal) => Promise<CallResult>;

export function createCaller({ options, connection, endpoint, verdict }: { readonly options: EndpointTeacher; readonly connection: Connection; readonly endpoint: Endpoint; readonly verdict: Verdict }): Caller {
  return async (request, signal) => {
    const estimate = sumOf(worstOf(options, request.messages));
    for (;;) {
      const limit = endpoint.limitName;
      const result = await connection.call({
        wanted: 'a chat completion', path: '/chat/completions',
        send: async (client, settings) => {
          const grant = await endpoint.pace(options.limits, estimate, signal);
          const completion = readCompletion(await client.chat.completions.create({ ...chatBody(options, request, limit), stream: false }, settings));
          if (completion.tokens !== null) grant.correct(completion.tokens.prompt + completion.tokens.completion);
          return completion;
        },
      }, signal);
      switch (result.kind) {
        case 'answer':
          verdict.answered();
          return result;
        case 'rejected':
          if (limit === 'max_tokens' && result.unsupportedParameter === limit) { endpoint.limitName = 'max_completion_tokens'; continue; }
          if (verdict.rejected()) throw allRejected(connection, result.detail);
          return result;
        case 'gone': throw new TypeError('a chat completion is never gone');
      }
    }
  };
}

/** What one request says, in either mode: the ledger knows its answer by the same values. */
export function chatBody(options: EndpointTeacher, { messages, sample }: PaidRequest, limit: LimitName) {
  return {
    model: options.model, messages: messages.map(({ role, content }) => ({ role, content })),
    temperature: options.temperature, top_p: options.topP, [limit]: options.maxTokens,
    ...(options.seed === null ? {} : { seed: options.seed + sample }),
  };
}

/** TEACHER.REFUSED: the options are wrong, not the rows. */
export function allRejected(connection: Connection, detail: string): Error {
  return connection.failure('TEACHER.REFUSED', `each of the first requests was rejected; the last with ${detail}`, 'Check teacher.model, maxTokens, temperature, topP and seed against what the server accepts');
}
