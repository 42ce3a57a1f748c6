import { describe, expect, it } from 'vitest';
import { decideRetry } from './retry.ts';

describe('decideRetry', () => {
  it('never repeats what would fail again', () => {
    for (const failureClass of ['invalid', 'resources'] as const) expect(decideRetry({ failureClass, attempts: 1 })).toEqual({ kind: 'fail' });
  });
  it('backs off after an infrastructure failure, within bounds', () => {
    const answers = [1, 2, 3, 4, 5].map((attempts) => decideRetry({ failureClass: 'infrastructure', attempts }));
    expect(answers).toEqual([1_000, 2_000, 4_000, 8_000].map((delayMs) => ({ kind: 'retry', delayMs }) as unknown).concat({ kind: 'fail' }));
    expect(decideRetry({ failureClass: 'infrastructure', attempts: 30, maxAttempts: 99 })).toEqual({ kind: 'retry', delayMs: 60_000 });
    expect(decideRetry({ failureClass: 'infrastructure', attempts: 1, maxAttempts: 1 })).toEqual({ kind: 'fail' });
  });
  it('never charges for preemption', () => {
    expect(decideRetry({ failureClass: 'preempted', attempts: 50 })).toEqual({ kind: 'retry', delayMs: 0 });
  });
});
