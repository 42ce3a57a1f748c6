import type { EndpointTeacher } from '@sgpo/core';
import { answerOf, lookUp, type TeacherAnswer, type TeacherRequest, type TeacherRequests } from './answers.ts';
import { createBatchApi } from './batch-api.ts';
import { providerBatchSize, type BatchSize } from './batch-file.ts';
import { createBatchMode } from './batch-mode.ts';
import type { BatchStore } from './batch-store.ts';
import type { BatchNote } from './batch-work.ts';
import { unlimited, type BudgetGate } from './budget.ts';
import { createCaller, type PaidRequest } from './caller.ts';
import { createConnection } from './connection.ts';
import { readTeacherKey } from './key.ts';
import type { Ledger } from './ledger.ts';
import type { TeacherLimits } from './limits.ts';
import { createRequestMode, type OnAnswer } from './request-mode.ts';
import { resolveHost, type Resolve } from './url-guard.ts';
import { createUsageMeter, type TeacherUsage } from './usage.ts';
import { sleepFor, type Sleep, type TeacherWait } from './waiting.ts';

export interface Teacher {
  /** One answer, out of the ledger or paid for and then recorded. By a call, and so not in mode `batch`: TypeError. */
  ask(request: PaidRequest, signal: AbortSignal): Promise<TeacherAnswer>;
  /**
   * Asks for all; hands each answer on exactly once: in mode `requests` in any order, at most `concurrency` at a time, reading the source no faster than
   * that; in mode `batch` in the order of the rows, at the end. `requests` is called again for every pass over the rows, and gives the same each time.
   * `onProgress` is told how many rows have a result so far. The first failure (of a request, of `onAnswer`, of the source) ends the rest and is
   * thrown; recorded answers stay recorded. Returns what this call used.
   */
  askAll(requests: () => TeacherRequests, signal: AbortSignal, onAnswer: OnAnswer, onProgress?: (done: number) => void): Promise<TeacherUsage>;
  /** Answers of the ledger in the order of the requests; null for one that has none. Costs nothing. */
  recorded<Request extends TeacherRequest>(requests: AsyncIterable<Request> | Iterable<Request>): AsyncIterable<{ readonly request: Request; readonly answer: TeacherAnswer | null }>;
  /** What this teacher used since it was made. */
  usage(): TeacherUsage;
}

export interface TeacherDependencies {
  readonly options: EndpointTeacher;
  readonly ledger: Ledger;
  /** Shared by all teachers of the process. */
  readonly limits: TeacherLimits;
  /** Where `apiKey` is looked up, once. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `host` or `host:port` that may be called although they are not public. */
  readonly allowedHosts: readonly string[];
  /** Default: no budget. */
  readonly budget?: BudgetGate;
  /** Needed in mode `batch`. */
  readonly batches?: BatchStore;
  /** Told before every pause. */
  readonly onWait?: (wait: TeacherWait) => void;
  readonly onBatch?: (note: BatchNote) => void;
  /** Longest sum of pauses the teacher may ask for on one request, default 30 minutes; then TEACHER.THROTTLED. */
  readonly maxThrottledMs?: number;
  /** What one batch may hold; default: OpenAI's limits. */
  readonly batchSize?: BatchSize;
  /** Tells the reasons of a signal that end the work for good, so that its batches are canceled at the provider; default: none, and batches go on there to be collected later. */
  readonly isCanceled?: (reason: unknown) => boolean;
  /** How long a cancel waits for the provider to end a batch, so that what is finished is kept; default 30 s. */
  readonly cancelGraceMs?: number;
  readonly sleep?: Sleep;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly nowMs?: () => number;
  readonly resolve?: Resolve;
}

/**
 * A client of one OpenAI-compatible model. Throws TEACHER.KEY_MISSING and TEACHER.URL_NOT_ALLOWED at once; the rest when asked:
 * TEACHER.REFUSED, UNREACHABLE, BAD_ANSWER, THROTTLED, BUDGET_REACHED, BATCH_FAILED, and the reason of an aborted signal.
 */
export function createTeacher(dependencies: TeacherDependencies): Teacher {
  const { options, ledger, limits, environment, allowedHosts, budget = unlimited, batches, sleep = sleepFor, nowMs = Date.now } = dependencies;
  const key = readTeacherKey(options.apiKey, environment);
  const connection = createConnection({
    options, allowedHosts, key, sleep, nowMs, maxThrottledMs: dependencies.maxThrottledMs ?? 30 * 60_000,
    onWait: dependencies.onWait ?? (() => undefined), random: dependencies.random ?? Math.random, resolve: dependencies.resolve ?? resolveHost,
  });
  const endpoint = limits.endpointOf(options);
  const verdict = limits.verdictOf(options);
  const total = createUsageMeter(options);

  async function* recorded<Request extends TeacherRequest>(requests: AsyncIterable<Request> | Iterable<Request>): AsyncGenerator<{ readonly request: Request; readonly answer: TeacherAnswer | null }> {
    for await (const block of lookUp(options, ledger, requests)) {
      for (const { request, entry } of block) yield { request, answer: entry === null ? null : answerOf(entry, true) };
    }
  }

  if (options.mode === 'batch') {
    if (batches === undefined) throw new TypeError('a teacher in mode batch needs a store of batches');
    const mode = createBatchMode({
      options, ledger, store: batches, api: createBatchApi(connection, key), connection, endpoint, verdict, budget, total, sleep, nowMs,
      onNote: dependencies.onBatch ?? (() => undefined), size: dependencies.batchSize ?? providerBatchSize,
      isCanceled: dependencies.isCanceled ?? (() => false), cancelGraceMs: dependencies.cancelGraceMs ?? 30_000,
    });
    return {
      ask: () => Promise.reject(new TypeError('a teacher in mode batch is asked for all rows at once')),
      askAll: (requests, signal, onAnswer, onProgress = () => undefined) => mode.askAll(requests, signal, onAnswer, onProgress), recorded, usage: () => total.read(),
    };
  }
  const mode = createRequestMode({ options, ledger, call: createCaller({ options, connection, endpoint, verdict }), endpoint, budget, total });
  return {
    ask: (request, signal) => mode.ask(request, signal),
    askAll: (requests, signal, onAnswer, onProgress = () => undefined) => mode.askAll(requests(), signal, onAnswer, onProgress), recorded, usage: () => total.read(),
  };
}
