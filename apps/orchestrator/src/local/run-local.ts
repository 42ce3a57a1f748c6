import { setTimeout as sleep } from 'node:timers/promises';
import { decideRetry, failureOf, SgpoError, type TaskId } from '@sgpo/core';
import type { AttemptRow, TaskResult, TaskRow } from '@sgpo/database';
import { holdMs, renewEveryMs, type Services } from '../services.ts';
import { buildSft } from './build-sft.ts';
import { filter } from './filter.ts';
import { importModel } from './import-model.ts';
import { ingest } from './ingest.ts';
import type { LocalContext, LocalTaskSpec } from './local-task.ts';
import { measure } from './measure.ts';
import { merge } from './merge.ts';
import { pair } from './pair.ts';
import { report } from './report.ts';
import { teach } from './teach.ts';

/** Claims a ready local task and runs it here; the claim is renewed while it runs, so that a dead process loses it within seconds. */
export async function runLocalTask(services: Services, taskId: TaskId, shutdown: AbortSignal): Promise<void> {
  const { database, holder, log } = services;
  const attempt = await database.attempts.claimLocal({ taskId, holder, holdMs });
  if (attempt === null) return;
  const task = await database.tasks.get(taskId);
  if (task === null) throw new TypeError(`no task ${taskId}`);

  const stop = new AbortController();
  let canceled = false;
  const renewing = keepHold(services, attempt, stop, () => { canceled = true; });
  const signal = AbortSignal.any([stop.signal, shutdown]);
  const reporter = createProgressReporter(services, attempt, task);
  try {
    const result = await runStep({ services, task, attempt, signal, progress: reporter.report }, task.spec as LocalTaskSpec);
    await reporter.close();
    if (!await database.attempts.succeed(attempt.id, result)) log.warn({ taskId, attemptId: attempt.id }, 'result came after the attempt had ended');
  } catch (error) {
    await reporter.close();
    if (canceled) await database.attempts.end(attempt.id, { state: 'canceled', failure: null, next: { kind: 'cancel' } });
    else if (shutdown.aborted) await database.attempts.end(attempt.id, { state: 'lost', failure: null, next: { kind: 'retry', delayMs: 0 } });
    else await endFailed(services, attempt, task, error);
  } finally {
    stop.abort();
    await renewing;
  }
}

function runStep(context: LocalContext, spec: LocalTaskSpec): Promise<TaskResult> {
  switch (spec.kind) {
    case 'import-model': return importModel(context, spec);
    case 'ingest': return ingest(context, spec);
    case 'teach': return teach(context, spec);
    case 'merge': return merge(context, spec);
    case 'filter': return filter(context, spec);
    case 'build-sft': return buildSft(context, spec);
    case 'pair': return pair(context, spec);
    case 'measure': return measure(context, spec);
    case 'report': return report(context, spec);
  }
}

async function endFailed(services: Services, attempt: AttemptRow, task: TaskRow, error: unknown): Promise<void> {
  const { database, log } = services;
  log.error({ taskId: task.id, attemptId: attempt.id, err: error }, 'local step failed');
  const retriable = !(error instanceof SgpoError) || error.entry.retry !== 'never';
  const next = retriable ? decideRetry({ failureClass: 'infrastructure', attempts: attempt.number }) : { kind: 'fail' as const };
  await database.attempts.end(attempt.id, { state: 'failed', failure: failureOf(error), next });
}

async function keepHold(services: Services, attempt: AttemptRow, stop: AbortController, onCancel: () => void): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      const held = await services.database.attempts.renew({ id: attempt.id, holder: services.holder, holdMs, leaseMs: null });
      if (held === null) stop.abort();
      else if (held.cancelWanted) { onCancel(); stop.abort(); }
    } catch (error) {
      services.log.warn({ attemptId: attempt.id, error: String(error) }, 'hold not renewed');
    }
    await sleep(renewEveryMs / 4, undefined, { signal: stop.signal }).catch(() => undefined);
  }
}

/** Progress reaches Postgres at most twice a second. */
function createProgressReporter(services: Services, attempt: AttemptRow, task: TaskRow): { readonly report: (done: number, total: number) => void; close(): Promise<void> } {
  let last = 0;
  let writing = Promise.resolve();
  return {
    report(done, total) {
      if (Date.now() - last < 500) return;
      last = Date.now();
      writing = writing.then(() => services.database.attempts.report(attempt.id, { lastSequence: 0, progress: { done, total, unit: 'rows' } }))
        .catch((error: unknown) => { services.log.warn({ taskId: task.id, error: String(error) }, 'progress not written'); });
    },
    close: () => writing,
  };
}
