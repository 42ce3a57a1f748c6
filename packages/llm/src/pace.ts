/**
 * Spacing of calls under limits a minute (the generic cell rate algorithm, without bursts): each call moves the time at which the next may begin
 * by its own share of a minute. In any minute at most the limit and one call begin. Pure; times in ms.
 */
export interface PaceState { readonly requestsFreeAtMs: number; readonly tokensFreeAtMs: number }

export interface RateLimits { readonly requestsPerMinute: number | null; readonly tokensPerMinute: number | null }

export const idlePace: PaceState = { requestsFreeAtMs: 0, tokensFreeAtMs: 0 };

const minuteMs = 60_000;
const shareMs = (amount: number, perMinute: number | null): number => (perMinute === null ? 0 : (amount * minuteMs) / perMinute);

/** Books a call of so many tokens at the first moment both limits let it begin. A call of more than a minute's tokens begins, and the next waits the longer. */
export function bookCall(state: PaceState, nowMs: number, limits: RateLimits, tokens: number): { readonly state: PaceState; readonly waitMs: number } {
  const startMs = Math.max(nowMs, limits.requestsPerMinute === null ? 0 : state.requestsFreeAtMs, limits.tokensPerMinute === null ? 0 : state.tokensFreeAtMs);
  return {
    waitMs: startMs - nowMs,
    state: {
      requestsFreeAtMs: limits.requestsPerMinute === null ? state.requestsFreeAtMs : startMs + shareMs(1, limits.requestsPerMinute),
      tokensFreeAtMs: limits.tokensPerMinute === null ? state.tokensFreeAtMs : startMs + shareMs(tokens, limits.tokensPerMinute),
    },
  };
}

/** Moves the time of the next call by tokens that were booked and not used (or, below 0, used and not booked), and by calls that were not made. */
export function returnShare(state: PaceState, limits: RateLimits, unused: { readonly requests: number; readonly tokens: number }): PaceState {
  return {
    requestsFreeAtMs: state.requestsFreeAtMs - shareMs(unused.requests, limits.requestsPerMinute),
    tokensFreeAtMs: state.tokensFreeAtMs - shareMs(unused.tokens, limits.tokensPerMinute),
  };
}
