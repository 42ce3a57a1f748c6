/**
 * Why an attempt did not succeed: `invalid` spec or data that cannot work; `infrastructure` worker, disk or network; `resources` out of memory
 * even at the smallest micro-batch; `preempted` its slot was taken back.
 */
export type FailureClass = 'invalid' | 'infrastructure' | 'resources' | 'preempted';
export type RetryAnswer = { readonly kind: 'retry'; readonly delayMs: number } | { readonly kind: 'fail' };

const firstDelayMs = 1_000;
const longestDelayMs = 60_000;

/**
 * What follows a failed attempt. `attempts`: how many the task has had, this one included, preempted ones left out: preemption is free.
 * Infrastructure is tried again after 1, 2, 4 … 60 s until `maxAttempts`; invalid input and missing memory would fail the same way again.
 */
export function decideRetry(input: { readonly failureClass: FailureClass; readonly attempts: number; readonly maxAttempts?: number }): RetryAnswer {
  const { failureClass, attempts, maxAttempts = 5 } = input;
  switch (failureClass) {
    case 'preempted': return { kind: 'retry', delayMs: 0 };
    case 'invalid':
    case 'resources': return { kind: 'fail' };
    case 'infrastructure':
      if (attempts >= maxAttempts) return { kind: 'fail' };
      return { kind: 'retry', delayMs: Math.min(longestDelayMs, firstDelayMs * 2 ** Math.max(0, attempts - 1)) };
  }
}
