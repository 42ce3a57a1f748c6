import { setTimeout as delay } from 'node:timers/promises';

/** How long to pause between tries. Times in ms; the source of randomness and the clock are given. */

/** A pause before a request is sent again: the teacher asked for it, or a try failed. */
export interface TeacherWait {
  readonly reason: 'throttled' | 'failed';
  readonly waitMs: number;
  /** Tries that failed so far; pauses the teacher asked for are not among them. */
  readonly failedTries: number;
  /** What happened, such as "HTTP 429: slow down". Holds no secret. */
  readonly detail: string;
}

export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

export const sleepFor: Sleep = async (ms, signal) => { await delay(ms, undefined, { signal }); };

/** A pause that an abort ends with the reason of the signal. */
export async function pauseFor(ms: number, signal: AbortSignal, sleep: Sleep): Promise<void> {
  try { await sleep(ms, signal); } finally { signal.throwIfAborted(); }
}

const maxRetryAfterMs = 120_000;
const firstBackoffMs = 500;
const maxBackoffMs = 30_000;

/** Value of a Retry-After header (seconds or an HTTP date) as a pause of at most 120 s; null when there is none to read. */
export function parseRetryAfter(value: string | null, nowMs: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), maxRetryAfterMs);
}

/**
 * The pause that the headers of an answer ask for: Retry-After (or OpenAI's retry-after-ms), else the longest x-ratelimit-reset-* of the limits that
 * nothing remains of, or of all of them when none says so. At most 120 s; null when they ask for nothing.
 */
export function wantedPauseMs(headers: Headers | undefined, nowMs: number): number | null {
  if (headers === undefined) return null;
  const afterMs = headers.get('retry-after-ms');
  const told = afterMs !== null && /^\d+(\.\d+)?$/.test(afterMs.trim()) ? Math.min(Number(afterMs), maxRetryAfterMs) : parseRetryAfter(headers.get('retry-after'), nowMs);
  if (told !== null) return told;
  const limits = ['requests', 'tokens'].map((name) => ({ resetMs: parseDuration(headers.get(`x-ratelimit-reset-${name}`)), spent: headers.get(`x-ratelimit-remaining-${name}`)?.trim() === '0' }));
  const some = limits.some(({ spent }) => spent) ? limits.filter(({ spent }) => spent) : limits;
  const resets = some.flatMap(({ resetMs }) => (resetMs === null ? [] : [resetMs]));
  return resets.length === 0 ? null : Math.min(Math.max(...resets), maxRetryAfterMs);
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** A duration as OpenAI writes it: 20ms, 1.5s, 6m0s, 1h2m3s. null for anything else. */
function parseDuration(value: string | null): number | null {
  const text = value?.trim() ?? '';
  if (!/^(\d{1,9}(\.\d{1,9})?(ms|h|m|s))+$/.test(text)) return null;
  return [...text.matchAll(/([\d.]+)(ms|h|m|s)/g)].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ''] ?? 0), 0);
}

/** Exponential, 0.5 s doubling up to 30 s, of which a random half is taken away, so that failed requests do not come back together. `nth` counts from 1. */
export function backoffMs(nth: number, random: () => number): number {
  return Math.round(Math.min(firstBackoffMs * 2 ** (nth - 1), maxBackoffMs) * (1 - random() / 2));
}

const firstPollMs = 1000;
const maxPollMs = 60_000;

/** Pause before a batch is looked at again: 1 s, half as much more every time, up to a minute. `nth` counts from 1. */
export const pollMs = (nth: number): number => Math.round(Math.min(firstPollMs * 1.5 ** Math.min(nth - 1, 50), maxPollMs));

/** The pause the teacher asked for and up to a tenth more; without a usable wish, back-off. */
export function throttleMs(retryAfterMs: number | null, nth: number, random: () => number): number {
  if (retryAfterMs === null || retryAfterMs === 0) return backoffMs(nth, random);
  return Math.round(Math.min(retryAfterMs * (1 + random() / 10), maxRetryAfterMs));
}
