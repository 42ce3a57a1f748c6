import { setTimeout as sleep } from 'node:timers/promises';
import { failureOf, type RunId, type TaskId } from '@sgpo/core';
import type { AttemptRow, TaskResult, TaskRow } from '@sgpo/database';
import { holdMs, renewEveryMs, type Services } from '../services.ts';
import { buildSft } from './build-sft.ts';
import { filter } from './filter.ts';
import { importModel } from './import-model.ts';
import { ingest } from './ingest.ts';
import { createLanes } from './lanes.ts';
import type { LocalContext, LocalTaskSpec, StopReason } from './local-task.ts';
import { measure } from './measure.ts';
import { merge } from './merge.ts';
import { nextAfterFailure } from './next-for-task.ts';
import { pair } from './pair.ts';
import { preview } from './preview.ts';
import { report } from './report.ts';
import { teach } from './teach.ts';

/**
 * Steps that ask a teacher wait on the network, with a Batch API for hours, and cost this process next to nothing meanwhile; the others read and write
 * tables, which takes the processor and memory. In one line of waiting, teachers would keep every other step of every run from being done; without
 * bounds, a study would read all its data sets at once. `calling`: each place makes up to `teacher.concurrency` calls at a time.
 */
const laneWidths = { batching: 32, calling: 4, working: 4 } as const;
type Lane = keyof typeof laneWidths;
/** Jobs that are to be taken at once: all places, and one to put what comes into its lane, so that a full lane never keeps another's from being looked at. */
export const localConcurrency = Object.values<number>(laneWidths).reduce((sum, width) => sum + width, 1);

function laneOf(spec: LocalTaskSpec): Lane {
  if (spec.kind !== 'teach') return 'working';
  return spec.teacher.mode === 'batch' ? 'batching' : 'calling';
}

/** Runs local tasks by id, within the bounds of their lanes, which the runs share evenly. Which of them wait for a place here is found again from Postgres after a crash. */
export function createLocalRunner(services: Services): (taskId: TaskId, shutdown: AbortSignal) => Promise<void> {
  const lanes = createLanes<Lane, TaskId, RunId>(laneWidths);
  const work = async (taskId: TaskId, shutdown: AbortSignal): Promise<void> => {
    try {
      await runLocalTask(services, taskId, shutdown);
    } catch (error) {
      services.log.error({ taskId, err: error }, 'local task left to others');
    }
  };
  return async (taskId, shutdown) => {
    const task = await services.database.tasks.get(taskId);
    // Only a ready task has a frozen spec and waits for somebody: of any other there is nothing to do.
    if (task?.state !== 'ready') return;
    await lanes.enter(laneOf(task.spec as LocalTaskSpec), taskId, task.runId, (id) => work(id, shutdown), shutdown);
  };
}

/** Claims a ready local task and runs it here; the claim is renewed while it runs, so that a dead process loses it within seconds. */
async function runLocalTask(services: Services, taskId: TaskId, shutdown: AbortSignal): Promise<void> {
  const { database, holder, log } = services;
  const attempt = await database.attempts.claimLocal({ taskId, holder, holdMs });
  if (attempt === null) return;
  const task = await database.tasks.get(taskId);
  if (task === null) throw new TypeError(`no task ${taskId}`);

  const stop = new AbortController();
  const stopFor = (reason: StopReason): void => { stop.abort(reason); };
  const onShutdown = (): void => { stopFor('shutdown'); };
  shutdown.addEventListener('abort', onShutdown, { once: true });
  if (shutdown.aborted) onShutdown();
  const done = new AbortController();
  const renewing = keepHold(services, attempt, done.signal, stopFor);
  const reporter = createProgressReporter(services, attempt, task);
  try {
    const result = await runStep({ services, task, attempt, signal: stop.signal, progress: reporter.report }, task.spec as LocalTaskSpec);
    await reporter.close();
    if (!await database.attempts.succeed(attempt.id, result)) log.warn({ taskId, attemptId: attempt.id }, 'result came after the attempt had ended');
  } catch (error) {
    await reporter.close();
    await endWithout(services, { attempt, task, error, stopped: stop.signal.aborted ? stop.signal.reason as StopReason : null });
  } finally {
    shutdown.removeEventListener('abort', onShutdown);
    done.abort();
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
    case 'preview': return preview(context, spec);
    case 'report': return report(context, spec);
  }
}

/** Writes down how an attempt without a result ended. "Was it told to stop?" is asked before "what went wrong?". */
async function endWithout(services: Services, { attempt, task, error, stopped }: {
  readonly attempt: AttemptRow; readonly task: TaskRow; readonly error: unknown; readonly stopped: StopReason | null;
}): Promise<void> {
  const { database, log } = services;
  const ids = { runId: task.runId, taskId: task.id, attemptId: attempt.id };
  switch (stopped) {
    case 'canceled':
      await database.attempts.end(attempt.id, { state: 'canceled', failure: null, next: { kind: 'cancel' } });
      return;
    case 'shutdown':
      await database.attempts.end(attempt.id, { state: 'lost', failure: null, next: { kind: 'retry', delayMs: 0 } });
      return;
    case 'taken':
      log.warn(ids, 'the attempt was ended by others: leaving it');
      return;
    case null: {
      const next = nextAfterFailure(error, attempt.number);
      if (next.kind === 'pause') log.info({ ...ids, reason: next.reason }, 'run pauses');
      else log.error({ ...ids, err: error }, 'local step failed');
      await database.attempts.end(attempt.id, { state: 'failed', failure: failureOf(error), next });
    }
  }
}

async function keepHold(services: Services, attempt: AttemptRow, done: AbortSignal, stopFor: (reason: StopReason) => void): Promise<void> {
  while (!done.aborted) {
    try {
      const held = await services.database.attempts.renew({ id: attempt.id, holder: services.holder, holdMs, leaseMs: null });
      if (held === null) stopFor('taken');
      else if (held.cancelWanted) stopFor('canceled');
    } catch (error) {
      services.log.warn({ attemptId: attempt.id, error: String(error) }, 'hold not renewed');
    }
    await sleep(renewEveryMs / 4, undefined, { signal: done }).catch(() => undefined);
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
