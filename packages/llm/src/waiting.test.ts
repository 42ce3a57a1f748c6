import { expect, it } from 'vitest';
import { backoffMs, parseRetryAfter, throttleMs } from './waiting.ts';

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
