import OpenAI from 'openai';
import { SgpoError, type EndpointTeacher } from '@sgpo/core';
import { createGuardedFetch } from './guarded-fetch.ts';
import { classifyFailure, type Failed } from './outcome.ts';
import { parseTeacherUrl, showUrl, type Resolve } from './url-guard.ts';
import { backoffMs, pauseFor, throttleMs, type Sleep, type TeacherWait } from './waiting.ts';

export interface ConnectionDependencies {
  readonly options: EndpointTeacher;
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

/** One thing that is asked of the server. */
interface Exchange<T> {
  /** What a good answer is, for messages: "a chat completion". */
  readonly wanted: string;
  /** Under the base URL, for messages. */
  readonly path: string;
  /** Sends it once. Throws what the package throws, or MalformedAnswer. */
  send(client: OpenAI, settings: { readonly signal: AbortSignal; readonly timeout: number }): Promise<T>;
  /** For what must not be done twice: looks, before it is sent again, whether the failed try was heard all the same. null: it was not. */
  readonly lookUp?: () => Promise<T | null>;
  /** True when HTTP 404 says that a thing is gone, and not that the set-up is wrong. */
  readonly mayBeGone?: boolean;
  /** Beyond teacher.timeoutSeconds, for what is large to send. */
  readonly extraMs?: number;
  /** The body is read as it comes: it may have any size, and teacher.timeoutSeconds is how long it may stall. */
  readonly streamed?: boolean;
}

export type ExchangeResult<T> = { readonly kind: 'answer'; readonly value: T } | { readonly kind: 'gone' } | Extract<Failed, { kind: 'rejected' }>;

type ConnectionFault = 'TEACHER.REFUSED' | 'TEACHER.UNREACHABLE' | 'TEACHER.BAD_ANSWER' | 'TEACHER.THROTTLED' | 'TEACHER.BATCH_FAILED';

export interface Connection {
  /**
   * Repeats an exchange until it has a result. Pauses the teacher asks for do not count as tries; failures do, up to `maxAttempts`.
   * Throws SgpoError (TEACHER.REFUSED, UNREACHABLE, BAD_ANSWER, THROTTLED, URL_NOT_ALLOWED), or the reason of the signal.
   */
  call<T>(exchange: Exchange<T>, signal: AbortSignal): Promise<ExchangeResult<T>>;
  /** An error that names the teacher. */
  failure(code: ConnectionFault, message: string, remedy: string): SgpoError;
}

const malformedTries = 2;

export function createConnection({ options, key, allowedHosts, onWait, sleep, random, nowMs, maxThrottledMs, resolve }: ConnectionDependencies): Connection {
  const shown = showUrl(parseTeacherUrl(options.baseUrl, allowedHosts));
  const timeoutMs = Math.ceil(options.timeoutSeconds * 1000);
  // All that the package would take from the environment is given: a variable meant for something else must not reach this server.
  const client = new OpenAI({
    baseURL: options.baseUrl, apiKey: key ?? 'none', adminAPIKey: null, organization: null, project: null, webhookSecret: null,
    defaultHeaders: key === null ? { authorization: null } : {},
    maxRetries: 0, timeout: timeoutMs, logLevel: 'off', fetch: createGuardedFetch({ allowedHosts, resolve }),
  });
  const streaming = client.withOptions({ fetch: createGuardedFetch({ allowedHosts, resolve, streamIdleMs: timeoutMs }) });

  const failure = (code: ConnectionFault, message: string, remedy: string): SgpoError =>
    new SgpoError(code, `teacher.baseUrl ${shown}, teacher.model "${options.model}": ${message}`, { remedy });

  async function tryOnce<T>(exchange: Exchange<T>, signal: AbortSignal): Promise<{ readonly kind: 'answer'; readonly value: T } | Failed> {
    const { extraMs = 0, streamed = false } = exchange;
    try {
      return { kind: 'answer', value: await exchange.send(streamed ? streaming : client, { signal, timeout: timeoutMs + extraMs }) };
    } catch (error) {
      signal.throwIfAborted();
      return classifyFailure(error, { timeoutMs: timeoutMs + extraMs, nowMs: nowMs(), secret: key });
    }
  }

  async function pause(reason: TeacherWait['reason'], waitMs: number, failedTries: number, detail: string, signal: AbortSignal): Promise<void> {
    onWait({ reason, waitMs, failedTries, detail });
    await pauseFor(waitMs, signal, sleep);
  }

  async function call<T>(exchange: Exchange<T>, signal: AbortSignal): Promise<ExchangeResult<T>> {
    const asked = `${shown.replace(/\/$/, '')}${exchange.path}`;
    let failedTries = 0;
    let malformed = 0;
    let pauses = 0;
    let throttledMs = 0;
    for (;;) {
      signal.throwIfAborted();
      const result = await tryOnce(exchange, signal);
      switch (result.kind) {
        case 'answer':
        case 'rejected': return result;
        case 'refused':
          if (result.status === 404 && exchange.mayBeGone === true) return { kind: 'gone' };
          throw failure('TEACHER.REFUSED', result.detail, remedyFor(result.status, options.apiKey, asked));
        case 'error': throw result.error;
        case 'throttled': {
          pauses += 1;
          const waitMs = throttleMs(result.retryAfterMs, pauses, random);
          throttledMs += waitMs;
          if (throttledMs > maxThrottledMs) {
            throw failure('TEACHER.THROTTLED', `still asks to wait (${result.detail}) after ${String(pauses)} answers; the pauses would exceed ${String(maxThrottledMs / 1000)} s`, 'Lower teacher.concurrency, set teacher.limits, or raise the rate limit of the key; paid answers are kept, so a retry goes on from here');
          }
          await pause('throttled', waitMs, failedTries, result.detail, signal);
          break;
        }
        case 'malformed':
        case 'transient':
          failedTries += 1;
          if (result.kind === 'malformed' && (malformed += 1) >= Math.min(malformedTries, options.maxAttempts)) {
            throw failure('TEACHER.BAD_ANSWER', `the answer is not ${exchange.wanted}: ${result.detail}`, `Check that teacher.baseUrl is the base of an OpenAI-compatible API and usually ends in /v1; ${asked} was asked`);
          }
          if (failedTries >= options.maxAttempts) {
            throw failure('TEACHER.UNREACHABLE', `no answer in ${String(failedTries)} tries; the last: ${result.detail}`, 'Check that the server runs and that the orchestrator reaches it (address, port, certificate), then retry the run; paid answers are kept. teacher.timeoutSeconds and teacher.maxAttempts give it more time');
          }
          await pause('failed', backoffMs(failedTries, random), failedTries, result.detail, signal);
          break;
      }
      const heard = await exchange.lookUp?.();
      if (heard !== undefined && heard !== null) return { kind: 'answer', value: heard };
    }
  }

  return { call, failure };
}

function remedyFor(status: number, apiKey: string | null, asked: string): string {
  if (status === 401 || status === 403) {
    return apiKey === null ? 'The server wants a key: put it into an environment variable of the orchestrator and set teacher.apiKey to env:NAME'
      : `Check the key in the environment variable ${apiKey.slice('env:'.length)}, and that it may use the model`;
  }
  if (status === 404) {
    return asked.endsWith('/chat/completions') ? `Check that the server knows teacher.model, and the path: ${asked} was asked, so teacher.baseUrl usually ends in /v1`
      : `Check that the server has a Batch API: ${asked} was asked. If it has none, set teacher.mode to requests`;
  }
  if (status === 402 || status === 429) return 'Add credit to the account of the key, then retry the run; paid answers are kept';
  return 'Check teacher.baseUrl and teacher.model against what the server offers';
}
