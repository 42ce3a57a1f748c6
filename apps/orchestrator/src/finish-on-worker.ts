import { decideRetry, SgpoError, type Failure } from '@sgpo/core';
import type { AttemptRow, TaskRow } from '@sgpo/database';
import type { FinishedTask, WorkerTaskSpec } from '@sgpo/worker-client';
import type { Services } from './services.ts';

/** Writes down how a worker's attempt ended. "Did we want this?" is asked before "how did it end?". */
export async function finishOnWorker(services: Services, input: { readonly attempt: AttemptRow; readonly task: TaskRow; readonly finished: FinishedTask; readonly cancelWanted: boolean }): Promise<void> {
  const { attempt, task, finished, cancelWanted } = input;
  const { database } = services;
  const failure = finished.error === null ? null : { code: finished.error.code, message: finished.error.message, remedy: finished.error.remedy } satisfies Failure;

  switch (finished.outcome) {
    case 'succeeded': {
      if (finished.output === null) throw new TypeError(`task ${task.id} succeeded without an output`);
      const published = await services.store.describe(finished.output);
      if (published === null) {
        throw new SgpoError('ARTIFACT.MISSING_FILES', `the output ${finished.output} of the worker is not in the store`, { remedy: 'Worker and orchestrator must share one store: compare SGPO_STORE on both' });
      }
      const spec = task.spec as WorkerTaskSpec;
      const isTable = spec.kind === 'generate' || spec.kind === 'score';
      const { rowsIn, rowsOut, dropped, provenance } = finished;
      await database.attempts.succeed(attempt.id, {
        output: { ...published, kind: isTable ? 'table' : 'model', rows: isTable ? rowsIn : null, meta: { ...provenance, seed: 'seed' in spec ? spec.seed : null } },
        rowsIn, rowsOut, dropped, provenance, stats: { workerSeconds: finished.seconds }, peakRssBytes: finished.peakRssBytes,
      });
      return;
    }
    case 'canceled':
      await database.attempts.end(attempt.id, cancelWanted
        ? { state: 'canceled', failure: null, next: { kind: 'cancel' } }
        : { state: 'lost', failure, next: decideRetry({ failureClass: 'infrastructure', attempts: attempt.number }) });
      return;
    case 'checkpointed':
      await database.attempts.end(attempt.id, { state: 'lost', failure, next: cancelWanted ? { kind: 'cancel' } : { kind: 'retry', delayMs: 0 } });
      return;
    case 'lost':
      await database.attempts.end(attempt.id, { state: 'lost', failure, next: cancelWanted ? { kind: 'cancel' } : decideRetry({ failureClass: 'infrastructure', attempts: attempt.number }) });
      return;
    case 'failed':
      await database.attempts.end(attempt.id, {
        state: 'failed', failure,
        next: cancelWanted ? { kind: 'cancel' } : decideRetry({ failureClass: finished.error?.failureClass ?? 'infrastructure', attempts: attempt.number }),
      });
  }
}
