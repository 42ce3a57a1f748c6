import OpenAI from 'openai';
import { SgpoError, type Message, type TeacherOptions } from '@sgpo/core';
import { readCompletion, type Completion } from './completion.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import { classifyFailure, type Failed } from './outcome.ts';
import { parseTeacherUrl, showUrl, type Resolve } from './url-guard.ts';
import { backoffMs, throttleMs, type Sleep, type TeacherWait } from './waiting.ts';

export interface CallerDependencies {
  readonly options: TeacherOptions;
  /** The key itself, or null when the server needs none. */
  readonly key: string | null;
  readonly allowedHosts: readonly string[];
  readonly onWait: (wait: TeacherWait) => void;
  readonly sleep: Sleep;
  readonly random: () => number;
  readonly nowMs: () => number;
  /** Longest sum of the pauses a teacher may ask for on one request. */
  readonly maxThrottledMs: number;
  readonly resolve: Resolve;
}

export interface PaidRequest { readonly messages: readonly Message[]; readonly sample: number }

/** An answer that was paid for, or the server's refusal of this one request. */
type CallResult = { readonly kind: 'answer'; readonly completion: Completion } | Extract<Failed, { kind: 'rejected' }>;

/** When every request so far was rejected and there were as many, the options are wrong and not the rows. */
const rejectionsThatTell = 5;
const malformedTries = 2;

/**
 * Sends one request until it has a result. Pauses the teacher asks for do not count as tries; failures do, up to `maxAttempts`.
 * Throws SgpoError (TEACHER.REFUSED, UNREACHABLE, BAD_ANSWER, THROTTLED, URL_NOT_ALLOWED), or the reason of the signal.
 */
export type Caller = (request: PaidRequest, signal: AbortSignal) => Promise<CallResult>;

export function createCaller({ options, key, allowedHosts, onWait, sleep, random, nowMs, maxThrottledMs, resolve }: CallerDependencies): Caller {
  const shown = showUrl(parseTeacherUrl(options.baseUrl, allowedHosts));
  const timeoutMs = Math.ceil(options.timeoutSeconds * 1000);
  // All that the package would take from the environment is given: a variable meant for something else must not reach this server.
  const client = new OpenAI({
    baseURL: options.baseUrl, apiKey: key ?? 'none', adminAPIKey: null, organization: null, project: null, webhookSecret: null,
    defaultHeaders: key === null ? { authorization: null } : {},
    maxRetries: 0, timeout: timeoutMs, logLevel: 'off', fetch: createGuardedFetch({ allowedHosts, resolve }),
  });
  let answered = false;
  let rejected = 0;
  /** Newer models of OpenAI know the limit by another name only; other servers know the first. */
  let limitName: 'max_tokens' | 'max_completion_tokens' = 'max_tokens';

  async function tryOnce({ messages, sample }: PaidRequest, limit: typeof limitName, signal: AbortSignal): Promise<CallResult | Failed> {
    try {
      const body: unknown = await client.chat.completions.create({
        model: options.model, messages: messages.map(({ role, content }) => ({ role, content })),
        temperature: options.temperature, top_p: options.topP, [limit]: options.maxTokens, stream: false,
        ...(options.seed === null ? {} : { seed: options.seed + sample }),
      }, { signal });
      return { kind: 'answer', completion: readCompletion(body) };
    } catch (error) {
      signal.throwIfAborted();
      return classifyFailure(error, { timeoutMs, nowMs: nowMs(), secret: key });
    }
  }

  const failure = (code: 'TEACHER.REFUSED' | 'TEACHER.UNREACHABLE' | 'TEACHER.BAD_ANSWER' | 'TEACHER.THROTTLED', message: string, remedy: string): SgpoError =>
    new SgpoError(code, `teacher.baseUrl ${shown}, teacher.model "${options.model}": ${message}`, { remedy });

  function refusal({ status, detail }: Extract<Failed, { kind: 'refused' }>): SgpoError {
    return failure('TEACHER.REFUSED', detail, remedyFor(status, options.apiKey, shown));
  }

  async function pause(reason: TeacherWait['reason'], waitMs: number, failedTries: number, detail: string, signal: AbortSignal): Promise<void> {
    onWait({ reason, waitMs, failedTries, detail });
    try { await sleep(waitMs, signal); } finally { signal.throwIfAborted(); }
  }

  return async (request, signal) => {
    let failedTries = 0;
    let malformed = 0;
    let pauses = 0;
    let throttledMs = 0;
    for (;;) {
      signal.throwIfAborted();
      const limit = limitName;
      const result = await tryOnce(request, limit, signal);
      switch (result.kind) {
        case 'answer':
          answered = true;
          return result;
        case 'rejected':
          if (limit === 'max_tokens' && result.unsupportedParameter === limit) { limitName = 'max_completion_tokens'; continue; }
          rejected += 1;
          if (!answered && rejected >= rejectionsThatTell) {
            throw failure('TEACHER.REFUSED', `each of the first ${String(rejected)} requests was rejected; the last with ${result.detail}`, 'Check teacher.model, maxTokens, temperature, topP and seed against what the server accepts');
          }
          return result;
        case 'refused': throw refusal(result);
        case 'error': throw result.error;
        case 'throttled': {
          pauses += 1;
          const waitMs = throttleMs(result.retryAfterMs, pauses, random);
          throttledMs += waitMs;
          if (throttledMs > maxThrottledMs) {
            throw failure('TEACHER.THROTTLED', `still asks to wait (${result.detail}) after ${String(pauses)} answers; the pauses would exceed ${String(maxThrottledMs / 1000)} s`, 'Lower teacher.concurrency, or raise the rate limit of the key; paid answers are kept, so a retry goes on from here');
          }
          await pause('throttled', waitMs, failedTries, result.detail, signal);
          break;
        }
        case 'malformed':
        case 'transient':
          failedTries += 1;
          if (result.kind === 'malformed' && (malformed += 1) >= Math.min(malformedTries, options.maxAttempts)) {
            throw failure('TEACHER.BAD_ANSWER', `the answer is not a chat completion: ${result.detail}`, `Check that teacher.baseUrl is the base of an OpenAI-compatible API and usually ends in /v1; ${shown.replace(/\/$/, '')}/chat/completions was asked`);
          }
          if (failedTries >= options.maxAttempts) {
            throw failure('TEACHER.UNREACHABLE', `no answer in ${String(failedTries)} tries; the last: ${result.detail}`, 'Check that the server runs and that the orchestrator reaches it (address, port, certificate), then retry the run; paid answers are kept. teacher.timeoutSeconds and teacher.maxAttempts give it more time');
          }
          await pause('failed', backoffMs(failedTries, random), failedTries, result.detail, signal);
          break;
      }
    }
  };
}

function remedyFor(status: number, apiKey: string | null, shown: string): string {
  if (status === 401 || status === 403) {
    return apiKey === null ? 'The server wants a key: put it into an environment variable of the orchestrator and set teacher.apiKey to env:NAME'
      : `Check the key in the environment variable ${apiKey.slice('env:'.length)}, and that it may use the model`;
  }
  if (status === 404) return `Check that the server knows teacher.model, and the path: ${shown.replace(/\/$/, '')}/chat/completions was asked, so teacher.baseUrl usually ends in /v1`;
  if (status === 402 || status === 429) return 'Add credit to the account of the key, then retry the run; paid answers are kept';
  return 'Check teacher.baseUrl and teacher.model against what the server offers';
}
