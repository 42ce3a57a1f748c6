import pLimit from 'p-limit';
import type { Message, TeacherOptions } from '@sgpo/core';
import { createCaller, type PaidRequest } from './caller.ts';
import { dropReasonOf, type Completion, type DropReason } from './completion.ts';
import { readTeacherKey } from './key.ts';
import { ledgerKey, type Ledger, type LedgerAnswer } from './ledger.ts';
import { resolveHost, type Resolve } from './url-guard.ts';
import { createUsageMeter, type TeacherUsage } from './usage.ts';
import { sleepFor, type Sleep, type TeacherWait } from './waiting.ts';

export interface TeacherAnswer {
  /** Without trailing white space. */
  readonly text: string;
  /** stop, length, content_filter or another word of the server; `refusal`: the model declined; `rejected`: there is no answer. */
  readonly finishReason: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Came from the ledger: nothing was paid. */
  readonly reused: boolean;
  /** null for an answer that can be used. */
  readonly dropReason: DropReason | null;
}

/** `sample` tells apart several answers to the same messages; with a seed, seed + sample is sent. */
export interface TeacherRequest { readonly id: string; readonly messages: readonly Message[]; readonly sample: number }

export interface Teacher {
  /** One answer, out of the ledger or paid for and then recorded. */
  ask(request: Omit<TeacherRequest, 'id'>, signal: AbortSignal): Promise<TeacherAnswer>;
  /**
   * Asks for all, at most `concurrency` at a time, reading the source no faster than that; hands each answer on exactly once, in any order.
   * The first failure (of a request, of `onAnswer`, of the source) ends the rest and is thrown; recorded answers stay recorded. Returns what this call used.
   */
  askAll(requests: AsyncIterable<TeacherRequest> | Iterable<TeacherRequest>, signal: AbortSignal, onAnswer: (id: string, answer: TeacherAnswer) => Promise<void> | void): Promise<TeacherUsage>;
  /** What this teacher used since it was made. */
  usage(): TeacherUsage;
}

export interface TeacherDependencies {
  readonly options: TeacherOptions;
  readonly ledger: Ledger;
  /** Where `apiKey` is looked up, once. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `host` or `host:port` that may be called although they are not public. */
  readonly allowedHosts: readonly string[];
  /** Told before every pause. */
  readonly onWait?: (wait: TeacherWait) => void;
  /** Longest sum of pauses the teacher may ask for on one request, default 30 minutes; then TEACHER.THROTTLED. */
  readonly maxThrottledMs?: number;
  readonly sleep?: Sleep;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly nowMs?: () => number;
  readonly resolve?: Resolve;
}

interface Settled { readonly answer: TeacherAnswer; /** null when nothing was paid. */ readonly paid: Completion | null }

/**
 * A client of one OpenAI-compatible model. Throws TEACHER.KEY_MISSING and TEACHER.URL_NOT_ALLOWED at once; the rest when asked:
 * TEACHER.REFUSED, UNREACHABLE, BAD_ANSWER, THROTTLED, and the reason of an aborted signal.
 */
export function createTeacher(dependencies: TeacherDependencies): Teacher {
  const { options, ledger, environment, allowedHosts } = dependencies;
  const call = createCaller({
    options, allowedHosts, key: readTeacherKey(options.apiKey, environment), maxThrottledMs: dependencies.maxThrottledMs ?? 30 * 60_000,
    onWait: dependencies.onWait ?? (() => undefined), sleep: dependencies.sleep ?? sleepFor, random: dependencies.random ?? Math.random,
    nowMs: dependencies.nowMs ?? Date.now, resolve: dependencies.resolve ?? resolveHost,
  });
  const limit = pLimit(options.concurrency);
  const total = createUsageMeter(options.price);
  /** Keys being asked for now: an equal request waits and then finds the answer in the ledger. */
  const busy = new Map<string, Promise<unknown>>();

  async function settle(request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    signal.throwIfAborted();
    const key = ledgerKey(options, request.messages, request.sample);
    for (let other = busy.get(key); other !== undefined; other = busy.get(key)) {
      await Promise.allSettled([other]);
      signal.throwIfAborted();
    }
    const mine = find(key, request, signal).finally(() => busy.delete(key));
    busy.set(key, mine);
    const settled = await mine;
    if (settled.answer.reused) total.addReused();
    if (settled.paid !== null) total.addPaid(settled.paid);
    return settled;
  }

  async function find(key: string, request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    const known = (await ledger.find([key])).get(key);
    return known === undefined ? limit(() => pay(key, request, signal)) : { answer: answerOf(known, true), paid: null };
  }

  async function pay(key: string, request: PaidRequest, signal: AbortSignal): Promise<Settled> {
    const result = await call(request, signal);
    if (result.kind === 'rejected') {
      return { answer: { text: '', finishReason: 'rejected', promptTokens: 0, completionTokens: 0, reused: false, dropReason: 'teacher_rejected' }, paid: null };
    }
    const { text, finishReason, tokens } = result.completion;
    const entry: LedgerAnswer = { text, finishReason, promptTokens: tokens?.prompt ?? 0, completionTokens: tokens?.completion ?? 0 };
    await ledger.record(key, options.model, entry);
    return { answer: answerOf(entry, false), paid: result.completion };
  }

  return {
    ask: async (request, signal) => (await settle(request, signal)).answer,
    askAll: async (requests, signal, onAnswer) => {
      const used = createUsageMeter(options.price);
      const stop = new AbortController();
      const either = AbortSignal.any([signal, stop.signal]);
      const failures: unknown[] = [];
      const fail = (error: unknown): void => { failures.push(error); stop.abort(error); };
      const running = new Set<Promise<void>>();

      const run = async (request: TeacherRequest): Promise<void> => {
        try {
          const { answer, paid } = await settle(request, either);
          if (answer.reused) used.addReused();
          if (paid !== null) used.addPaid(paid);
          if (!either.aborted) await onAnswer(request.id, answer);
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
    usage: () => total.read(),
  };
}

function answerOf(entry: LedgerAnswer, reused: boolean): TeacherAnswer {
  return { ...entry, reused, dropReason: dropReasonOf(entry) };
}
