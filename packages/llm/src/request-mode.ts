import pLimit from 'p-limit';
import type { EndpointTeacher } from '@sgpo/core';
import { answerOf, ledgerEntryOf, noAnswer, type TeacherAnswer, type TeacherRequest, type TeacherRequests } from './answers.ts';
import type { BudgetGate } from './budget.ts';
import type { Caller, PaidRequest } from './caller.ts';
import type { Completion } from './completion.ts';
import { ledgerKey, type Ledger } from './ledger.ts';
import type { Endpoint } from './limits.ts';
import { worstOf } from './tokens.ts';
import { createUsageMeter, type TeacherUsage, type UsageMeter } from './usage.ts';

interface RequestModeDependencies {
  readonly options: EndpointTeacher;
  readonly ledger: Ledger;
  readonly call: Caller;
  readonly endpoint: Endpoint;
  readonly budget: BudgetGate;
  readonly total: UsageMeter;
}

interface Settled { readonly answer: TeacherAnswer; /** null when nothing was paid. */ readonly paid: Completion | null }

/** What a row's answer is told to. */
export type OnAnswer = (id: string, answer: TeacherAnswer) => Promise<void> | void;

/** One call a row. */
export interface RequestMode {
  ask(request: PaidRequest, signal: AbortSignal): Promise<TeacherAnswer>;
  askAll(requests: TeacherRequests, signal: AbortSignal, onAnswer: OnAnswer, onProgress: (done: number) => void): Promise<TeacherUsage>;
}

export function createRequestMode({ options, ledger, call, endpoint, budget, total }: RequestModeDependencies): RequestMode {
  const limit = pLimit(options.concurrency);

  async function settle(request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    const key = ledgerKey(options, request.messages, request.sample);
    const settled = await endpoint.exclusive(key, signal, () => find(key, request, signal));
    if (settled.answer.reused) total.addReused();
    if (settled.paid !== null) total.addPaid(settled.paid);
    return settled;
  }

  async function find(key: string, request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    const known = (await ledger.find([key])).get(key);
    return known === undefined ? limit(() => pay(key, request, signal)) : { answer: answerOf(known, true), paid: null };
  }

  async function pay(key: string, request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    signal.throwIfAborted();
    const reservation = await budget.reserve(worstOf(options, request.messages), signal);
    try {
      const result = await call(request, signal);
      if (result.kind === 'rejected') return { answer: noAnswer('teacher_rejected'), paid: null };
      const entry = ledgerEntryOf(result.value);
      await ledger.record(key, options.model, entry);
      if (result.value.tokens === null) reservation.settle('uncounted');
      return { answer: answerOf(entry, false), paid: result.value };
    } finally {
      reservation.settle();
    }
  }

  return {
    ask: async (request, signal) => (await settle(request, signal)).answer,

    async askAll(requests, signal, onAnswer, onProgress) {
      const used = createUsageMeter(options);
      const stop = new AbortController();
      const either = AbortSignal.any([signal, stop.signal]);
      const failures: unknown[] = [];
      const fail = (error: unknown): void => { failures.push(error); stop.abort(error); };
      const running = new Set<Promise<void>>();
      let done = 0;

      const run = async (request: TeacherRequest): Promise<void> => {
        try {
          const { answer, paid } = await settle(request, either);
          if (answer.reused) used.addReused();
          if (paid !== null) used.addPaid(paid);
          if (either.aborted) return;
          await onAnswer(request.id, answer);
          onProgress(done += 1);
        } catch (error) {
          fail(error);
        }
      };

      try {
        for await (const request of requests) {
          if (either.aborted) break;
          const one: Promise<void> = run(request).finally(() => running.delete(one));
          running.add(one);
          if (running.size >= options.concurrency) await Promise.race(running);
        }
      } catch (error) {
        fail(error);
      }
      await Promise.all(running);
      if (failures.length > 0) throw failures[0];
      signal.throwIfAborted();
      return used.read();
    },
  };
}
