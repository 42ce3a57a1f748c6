import { decideRetry, type AttemptId, type Failure, type RunId } from '@sgpo/core';
import type { NextForTask } from '@sgpo/database';
import type { Services } from './services.ts';

const tickMs = 5_000;
const readyForMs = 5_000;
/** Looking at a run costs the same whether something was forgotten or not: in a large study each has its turn, and the work of this process does not wait behind it. */
const runsOfTick = 50;
/** A step that takes its process with it must not do so for ever. More than the tries a worker has: a process is also lost for reasons of its own. */
const maxLosses = 10;

/**
 * Finds what was forgotten because Redis lost it or a process died, from Postgres alone, and sets it going again. Every handler is
 * idempotent, so that an extra job does no harm.
 */
export async function reconcile(services: Services, turn: (runs: readonly RunId[]) => readonly RunId[]): Promise<void> {
  const { database, log } = services;
  const forgotten = await database.attempts.forgotten({ readyForMs });
  for (const id of forgotten.lostLocalAttempts) {
    const { failure, next } = await afterLoss(services, id);
    if (await database.attempts.end(id, { state: 'lost', failure, next })) log.warn({ attemptId: id, next: next.kind }, 'local step lost its process');
  }
  const active = turn(await database.runs.active());
  const registering = await database.datasets.unfinished();
  await database.outbox.add([
    ...forgotten.localTasks.map((taskId) => ({ queue: 'local' as const, payload: { taskId } })),
    ...forgotten.unheldAttempts.map((attemptId) => ({ queue: 'follow' as const, payload: { attemptId } })),
    ...(forgotten.readyWorkerTasks > 0 ? [{ queue: 'place' as const, payload: {} }] : []),
    ...active.map((runId) => ({ queue: 'advance' as const, payload: { runId } })),
    ...registering.map((datasetId) => ({ queue: 'register' as const, payload: { datasetId } })),
  ]);
}

/** Losses of a task's processes are counted by their failure: an attempt that a closing process gave back has none. */
async function afterLoss({ database }: Services, id: AttemptId): Promise<{ readonly failure: Failure; readonly next: NextForTask }> {
  const attempt = await database.attempts.get(id);
  if (attempt === null) throw new TypeError(`no attempt ${id}`);
  const others = (await database.attempts.ofRun(attempt.runId)).filter(({ taskId, state, failure }) => taskId === attempt.taskId && state === 'lost' && failure !== null);
  const losses = others.length + 1;
  const next = decideRetry({ failureClass: 'infrastructure', attempts: losses, maxAttempts: maxLosses });
  return next.kind === 'retry'
    ? { next, failure: { code: 'WORKER.LOST', message: 'the process that ran the step is gone', remedy: 'The step is started again by itself' } }
    : { next, failure: { code: 'TASK.RETRIES_EXHAUSTED', message: `the process that ran the step was lost ${String(losses)} times`, remedy: 'See why in the log of the orchestrator and of the system (memory, above all), then launch the run again' } };
}

/** All at first, then so many at a time, in a circle. */
export function createTurns(size = runsOfTick): (runs: readonly RunId[]) => readonly RunId[] {
  let last: RunId | null = null;
  return (runs) => {
    const after = last === null ? 0 : runs.findIndex((id) => last !== null && id > last);
    const taken = last === null ? runs : [...runs.slice(Math.max(after, 0)), ...runs.slice(0, Math.max(after, 0))].slice(0, size);
    last = taken.at(-1) ?? last;
    return taken;
  };
}

/** Reconciles now and every few seconds until closed. A failed round is logged and the next one comes. */
export function startReconciler(services: Services): { close(): Promise<void> } {
  const stop = new AbortController();
  const turn = createTurns();
  const loop = (async () => {
    while (!stop.signal.aborted) {
      try { await reconcile(services, turn); } catch (error) { services.log.error({ error: String(error) }, 'reconciling failed'); }
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, tickMs);
        stop.signal.addEventListener('abort', () => { clearTimeout(timer); wake(); }, { once: true });
      });
    }
  })();
  return { close: async () => { stop.abort(); await loop; } };
}
