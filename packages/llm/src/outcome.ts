import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { SgpoError } from '@sgpo/core';
import { MalformedAnswer } from './completion.ts';
import { wantedPauseMs } from './waiting.ts';

/** What a failed try means. `detail` is one cleaned line that may be shown; it holds no secret. */
export type Failed =
  /** The server asks to wait; `retryAfterMs` null: it does not say how long. */
  | { readonly kind: 'throttled'; readonly detail: string; readonly retryAfterMs: number | null }
  /** May work the next time. */
  | { readonly kind: 'transient'; readonly detail: string }
  /** The answer has not the shape of the protocol. */
  | { readonly kind: 'malformed'; readonly detail: string }
  /** The server will not take this request; another one may do. */
  | { readonly kind: 'rejected'; readonly detail: string; readonly unsupportedParameter: string | null }
  /** No request will work until somebody changes something. */
  | { readonly kind: 'refused'; readonly detail: string; readonly status: number }
  | { readonly kind: 'error'; readonly error: unknown };

export interface FailureContext { readonly timeoutMs: number; readonly nowMs: number; readonly secret: string | null }

/** Sorts what the openai package and the guarded fetch throw. An abort must have been looked for before. */
export function classifyFailure(error: unknown, { timeoutMs, nowMs, secret }: FailureContext): Failed {
  const chain = causes(error);
  const known = chain.find((link) => link instanceof SgpoError);
  if (known !== undefined) return { kind: 'error', error: known };
  const malformed = chain.find((link) => link instanceof MalformedAnswer || link instanceof SyntaxError);
  if (malformed instanceof MalformedAnswer) return { kind: 'malformed', detail: clean(malformed.message, secret) };
  if (malformed !== undefined) return { kind: 'malformed', detail: 'the body is not JSON, although its content type says so' };
  if (error instanceof APIConnectionError) return { kind: 'transient', detail: describeConnection(error, chain, timeoutMs) };
  if (error instanceof APIError && typeof error.status === 'number') return classifyStatus(error, error.status, nowMs, secret);
  return { kind: 'error', error };
}

function classifyStatus(error: APIError, status: number, nowMs: number, secret: string | null): Failed {
  const said = clean(bodyText(error), secret);
  const detail = said === '' ? `HTTP ${String(status)}` : `HTTP ${String(status)}: ${said}`;
  // A spent quota also comes as 429, and no waiting refills it.
  if (status === 429 && error.code === 'insufficient_quota') return { kind: 'refused', detail, status };
  if (status === 429 || status === 503) return { kind: 'throttled', detail, retryAfterMs: wantedPauseMs(error.headers, nowMs) };
  if (status === 400 || status === 413 || status === 422) return { kind: 'rejected', detail, unsupportedParameter: error.code === 'unsupported_parameter' ? error.param ?? null : null };
  if (status === 408 || status === 409 || status === 425 || (status >= 500 && status !== 501 && status !== 505)) return { kind: 'transient', detail };
  return { kind: 'refused', detail, status };
}

function describeConnection(error: APIConnectionError, chain: readonly unknown[], timeoutMs: number): string {
  const code = chain.map((link) => (link instanceof Error && 'code' in link ? link.code : undefined)).find((value) => typeof value === 'string' && value !== 'ABORT_ERR');
  if (typeof code === 'string') return connectionFaults.get(code) ?? `the connection failed (${code})`;
  return error instanceof APIConnectionTimeoutError ? `no complete answer within ${String(timeoutMs / 1000)} s` : 'the connection failed';
}

const connectionFaults: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'the connection is refused (ECONNREFUSED)'],
  ['ECONNRESET', 'the connection was reset (ECONNRESET)'],
  ['ENOTFOUND', 'the host name does not resolve (ENOTFOUND)'],
  ['EAI_AGAIN', 'the name service does not answer (EAI_AGAIN)'],
  ['ETIMEDOUT', 'the connection timed out (ETIMEDOUT)'],
]);

/** The server's own words: `error.message` of an OpenAI error body, else the body. */
function bodyText(error: APIError): string {
  const body: unknown = error.error;
  if (typeof body === 'string') return body;
  if (typeof body === 'object' && body !== null) return 'message' in body && typeof body.message === 'string' ? body.message : JSON.stringify(body);
  return error.message.replace(/^\d+ /, '').replace('status code (no body)', '');
}

/** One line of at most 200 characters without markup, control characters and the key: fit for a message. */
export function clean(text: string, secret: string | null): string {
  const safe = secret === null ? text : text.replaceAll(secret, '***');
  const line = safe.replace(/<(style|script)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ').replace(/[\p{C}\s]+/gu, ' ').trim();
  const characters = Array.from(line);
  return characters.length <= 200 ? line : `${characters.slice(0, 199).join('')}…`;
}

/** The error and its causes, outermost first; connection attempts to several addresses are looked into as well. */
function causes(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  const queue: unknown[] = [error];
  while (queue.length > 0 && chain.length < 20) {
    const link = queue.shift();
    chain.push(link);
    if (link instanceof AggregateError) queue.push(...(link.errors as unknown[]));
    if (link instanceof Error && link.cause !== undefined) queue.push(link.cause);
  }
  return chain;
}
