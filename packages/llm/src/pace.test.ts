import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bookCall, idlePace, returnShare, type PaceState, type RateLimits } from './pace.ts';

describe('the pace of calls', () => {
  it('spaces requests by their share of a minute', () => {
    const limits: RateLimits = { requestsPerMinute: 60, tokensPerMinute: null };
    let state: PaceState = idlePace;
    const waits = [0, 0, 0, 500, 10_000].map((nowMs) => { const booked = bookCall(state, nowMs, limits, 1); state = booked.state; return booked.waitMs; });
    expect(waits).toEqual([0, 1000, 2000, 2500, 0]);
  });

  it('gives unused tokens back, and takes used ones', () => {
    const limits: RateLimits = { requestsPerMinute: null, tokensPerMinute: 60_000 };
    const { state } = bookCall(idlePace, 0, limits, 5000);
    expect(bookCall(state, 0, limits, 1).waitMs).toBe(5000);
    expect(bookCall(returnShare(state, limits, { requests: 0, tokens: 4000 }), 0, limits, 1).waitMs).toBe(1000);
    expect(bookCall(returnShare(state, limits, { requests: 0, tokens: -1000 }), 0, limits, 1).waitMs).toBe(6000);
  });

  it('lets a call begin that needs more than a minute has', () => {
    const limits: RateLimits = { requestsPerMinute: null, tokensPerMinute: 100 };
    const first = bookCall(idlePace, 0, limits, 1000);
    expect([first.waitMs, bookCall(first.state, 0, limits, 1).waitMs]).toEqual([0, 600_000]);
  });

  it('does not hold back a teacher without limits', () => {
    const { state } = bookCall(idlePace, 0, { requestsPerMinute: 1, tokensPerMinute: 1 }, 1000);
    expect(bookCall(state, 0, { requestsPerMinute: null, tokensPerMinute: null }, 1000).waitMs).toBe(0);
  });

  it('begins in no minute more than the limit and one, whatever comes when', () => {
    const call = fc.record({ afterMs: fc.nat(20_000), tokens: fc.integer({ min: 1, max: 5000 }) });
    fc.assert(fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1000, max: 50_000 }), fc.array(call, { maxLength: 80 }), (requestsPerMinute, tokensPerMinute, calls) => {
      let state: PaceState = idlePace;
      let nowMs = 0;
      const begun = calls.map(({ afterMs, tokens }) => {
        nowMs += afterMs;
        const booked = bookCall(state, nowMs, { requestsPerMinute, tokensPerMinute }, tokens);
        state = booked.state;
        return { atMs: nowMs + booked.waitMs, tokens };
      });
      for (const { atMs } of begun) {
        const inMinute = begun.filter((other) => other.atMs >= atMs && other.atMs < atMs + 60_000);
        expect(inMinute.length).toBeLessThanOrEqual(requestsPerMinute + 1);
        const last = inMinute.at(-1)?.tokens ?? 0;
        expect(inMinute.reduce((sum, { tokens }) => sum + tokens, 0) - last).toBeLessThanOrEqual(tokensPerMinute + 1);
      }
    }), { numRuns: 60 });
  });
});
