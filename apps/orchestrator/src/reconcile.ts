import type { RunId } from '@sgpo/core';
import type { Services } from './services.ts';

const tickMs = 5_000;
const readyForMs = 5_000;

/**
 * Finds what was forgotten because Redis lost it or a process died, from Postgres alone, and sets it going again. Every handler is
 * idempotent, so that an extra job does no harm.
 */
async function reconcile(services: Services): Promise<void> {
  const { database, log } = services;
  const forgotten = await database.attempts.forgotten({ readyForMs });
  for (const id of forgotten.lostLocalAttempts) {
    const ended = await database.attempts.end(id, {
      state: 'lost', failure: { code: 'WORKER.LOST', message: 'the process that ran the step is gone', remedy: 'The step is started again by itself' }, next: { kind: 'retry', delayMs: 0 },
    });
    if (ended) log.warn({ attemptId: id }, 'local step lost its process: starting it again');
  }
  const active: readonly RunId[] = await database.runs.active();
  const registering = await database.datasets.unfinished();
  await database.outbox.add([
    ...forgotten.localTasks.map((taskId) => ({ queue: 'local' as const, payload: { taskId } })),
    ...forgotten.unheldAttempts.map((attemptId) => ({ queue: 'follow' as const, payload: { attemptId } })),
    ...(forgotten.readyWorkerTasks > 0 ? [{ queue: 'place' as const, payload: {} }] : []),
    ...active.map((runId) => ({ queue: 'advance' as const, payload: { runId } })),
    ...registering.map((datasetId) => ({ queue: 'register' as const, payload: { datasetId } })),
  ]);
}

/** Reconciles now and every few seconds until closed. A failed round is logged and the next one comes. */
export function startReconciler(services: Services): { close(): Promise<void> } {
  const stop = new AbortController();
  const loop = (async () => {
    while (!stop.signal.aborted) {
      try { await reconcile(services); } catch (error) { services.log.error({ error: String(error) }, 'reconciling failed'); }
      await new Promise<void>((wake) => {
        const timer = setTimeout(wake, tickMs);
        stop.signal.addEventListener('abort', () => { clearTimeout(timer); wake(); }, { once: true });
      });
    }
  })();
  return { close: async () => { stop.abort(); await loop; } };
}
