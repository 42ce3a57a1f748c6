import { decideRetry, SgpoError } from '@sgpo/core';
import type { NextForTask } from '@sgpo/database';

/** What becomes of a local task whose attempt failed with `error`, as the catalogue says; what is no SgpoError is ours and tried again. `attempts`: how many it has had. */
export function nextAfterFailure(error: unknown, attempts: number): NextForTask {
  const retry = error instanceof SgpoError ? error.entry.retry : 'backoff';
  switch (retry) {
    case 'never': return { kind: 'fail' };
    // The one thing a run waits for its owner for.
    case 'pause': return { kind: 'pause', reason: 'budget' };
    case 'wait':
    case 'backoff': return decideRetry({ failureClass: 'infrastructure', attempts });
  }
}
