import { expect, test } from 'vitest';
import { SgpoError, type ErrorCode } from '@sgpo/core';
import { nextAfterFailure } from './next-for-task.ts';

const error = (code: ErrorCode): SgpoError => new SgpoError(code, 'no good', { remedy: 'none' });

test.each([
  ['DATASET.NO_ROWS_LEFT', { kind: 'fail' }], ['TEACHER.KEY_MISSING', { kind: 'fail' }], ['TEACHER.BUDGET_REACHED', { kind: 'pause', reason: 'budget' }],
  ['STORE.FULL', { kind: 'retry', delayMs: 1_000 }], ['DATASET.REMOTE_UNREACHABLE', { kind: 'retry', delayMs: 1_000 }], ['TEACHER.THROTTLED', { kind: 'retry', delayMs: 1_000 }],
] as const)('%s: %o', (code, next) => {
  expect(nextAfterFailure(error(code), 1)).toEqual(next);
});

test('what nobody foresaw is tried again, and not for ever', () => {
  expect(nextAfterFailure(new TypeError('oops'), 1)).toEqual({ kind: 'retry', delayMs: 1_000 });
  expect(nextAfterFailure(new TypeError('oops'), 5)).toEqual({ kind: 'fail' });
});
