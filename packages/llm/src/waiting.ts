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

/** Exponential, 0.5 s doubling up to 30 s, of which a random half is taken away, so that failed requests do not come back together. `nth` counts from 1. */
export function backoffMs(nth: number, random: () => number): number {
  return Math.round(Math.min(firstBackoffMs * 2 ** (nth - 1), maxBackoffMs) * (1 - random() / 2));
}

/** The pause the teacher asked for and up to a tenth more; without a usable wish, back-off. */
export function throttleMs(retryAfterMs: number | null, nth: number, random: () => number): number {
  if (retryAfterMs === null || retryAfterMs === 0) return backoffMs(nth, random);
  return Math.round(Math.min(retryAfterMs * (1 + random() / 10), maxRetryAfterMs));
}
