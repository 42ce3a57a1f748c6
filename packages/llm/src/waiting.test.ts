import { expect, it } from 'vitest';
import { backoffMs, parseRetryAfter, pollMs, throttleMs, wantedPauseMs } from './waiting.ts';

const now = Date.parse('2030-01-01T00:00:00Z');

it.each([
  [null, null], ['7', 7000], ['0.5', 500], ['0', 0], ['100000', 120_000], ['Tue, 01 Jan 2030 00:00:30 GMT', 30_000], ['Mon, 31 Dec 2029 00:00:00 GMT', 0], ['Wed, 02 Jan 2030 00:00:00 GMT', 120_000], ['soon', null], ['', null],
])('reads Retry-After %s as %s ms', (value, ms) => {
  expect(parseRetryAfter(value, now)).toBe(ms);
});

it('doubles the back-off up to 30 s and takes away at most half', () => {
  expect([1, 2, 3, 7, 50].map((nth) => backoffMs(nth, () => 0))).toEqual([500, 1000, 2000, 30_000, 30_000]);
  expect(backoffMs(2, () => 0.999_999)).toBe(500);
});

it('waits as long as asked and a little more, and never turns a wish of 0 into a busy loop', () => {
  expect(throttleMs(10_000, 1, () => 0)).toBe(10_000);
  expect(throttleMs(10_000, 1, () => 0.5)).toBe(10_500);
  expect(throttleMs(120_000, 1, () => 0.9)).toBe(120_000);
  expect(throttleMs(0, 3, () => 0)).toBe(2000);
  expect(throttleMs(null, 1, () => 0)).toBe(500);
});

it.each<[Record<string, string>, number | null]>([
  [{}, null],
  [{ 'retry-after': '3', 'x-ratelimit-reset-tokens': '9s' }, 3000],
  [{ 'retry-after-ms': '250', 'retry-after': '1' }, 250],
  [{ 'x-ratelimit-reset-requests': '20ms' }, 20],
  [{ 'x-ratelimit-reset-requests': '1.5s', 'x-ratelimit-reset-tokens': '1m0s' }, 60_000],
  [{ 'x-ratelimit-reset-requests': '1m1s', 'x-ratelimit-remaining-requests': '7', 'x-ratelimit-reset-tokens': '5s', 'x-ratelimit-remaining-tokens': '0' }, 5000],
  [{ 'x-ratelimit-reset-requests': '1h2m3s' }, 120_000],
  [{ 'x-ratelimit-reset-requests': 'soon', 'x-ratelimit-reset-tokens': '5 s' }, null],
  [{ 'retry-after-ms': '-1', 'retry-after': 'never' }, null],
])('reads the pause that %j ask for', (headers, ms) => {
  expect(wantedPauseMs(new Headers(headers), now)).toBe(ms);
});

it('looks at a batch ever less often, and every minute at least', () => {
  expect([1, 2, 3, 11, 12, 5000].map(pollMs)).toEqual([1000, 1500, 2250, 57_665, 60_000, 60_000]);
});
