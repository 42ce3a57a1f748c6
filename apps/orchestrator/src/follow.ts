import { setTimeout as sleep } from 'node:timers/promises';
import { decideRetry, failureOf, SgpoError, type AttemptId, type Failure } from '@sgpo/core';
import type { AttemptRow, TaskRow } from '@sgpo/database';
import type { FinishedTask, WorkerClient, WorkerTaskSpec } from '@sgpo/worker-client';
import { createJournalReader } from './journal-reader.ts';
import { finishOnWorker } from './finish-on-worker.ts';
import { holdMs, renewEveryMs, type Services } from './services.ts';

/** Faults in a row after which an attempt is not taken up again, and for how long following must go well to begin anew. */
const maxFaults = 3;
const soundMs = 60_000;

/**
 * Starts attempts on their workers and follows them to their end: journal events go to Postgres, the lease is renewed, a wish to cancel is passed on.
 * Returns early, with the attempt left to others, when `shutdown` aborts or when another process holds it. A fault that nobody foresaw leaves it to the
 * reconciler, for it may pass (Postgres was away); one that comes again and again ends the attempt, so that it never keeps its slot and its run for ever.
 */
export function createFollow(services: Services): (attemptId: AttemptId, shutdown: AbortSignal) => Promise<void> {
  const faults = new Map<AttemptId, number>();
  return async (attemptId, shutdown) => {
    const began = Date.now();
    try {
      await followAttempt(services, attemptId, shutdown);
      faults.delete(attemptId);
    } catch (error) {
      const count = (Date.now() - began > soundMs ? 0 : faults.get(attemptId) ?? 0) + 1;
      faults.set(attemptId, count);
      if (count < maxFaults) throw error;
      services.log.error({ attemptId, faults: count, err: error }, 'attempt cannot be followed');
      const attempt = await services.database.attempts.get(attemptId);
      if (attempt !== null) await services.database.attempts.end(attemptId, { state: 'failed', failure: failureOf(error), next: decideRetry({ failureClass: 'infrastructure', attempts: attempt.number }) });
      faults.delete(attemptId);
    }
  };
}

async function followAttempt(services: Services, attemptId: AttemptId, shutdown: AbortSignal): Promise<void> {
  const { database, holder } = services;
  const attempt = await database.attempts.take({ id: attemptId, holder, holdMs });
  if (attempt === null) return;
  const task = await database.tasks.get(attempt.taskId);
  const worker = attempt.workerId === null ? null : await database.workers.get(attempt.workerId);
  if (task === null || worker === null) throw new TypeError(`attempt ${attemptId} has no task or worker`);

  const follower = new Follower(services, attempt, task, services.registry.client(worker.address));
  await follower.run(shutdown);
}

class Follower {
  readonly #services: Services;
  readonly #attempt: AttemptRow;
  readonly #task: TaskRow;
  readonly #client: WorkerClient;
  readonly #ref: { readonly taskId: string; readonly fence: bigint };
  /** Aborts the watching when the attempt is over for us: finished, taken away, or shutdown. */
  readonly #over = new AbortController();
  #lastContact = Date.now();
  #cancelWanted = false;

  constructor(services: Services, attempt: AttemptRow, task: TaskRow, client: WorkerClient) {
    this.#services = services;
    this.#attempt = attempt;
    this.#task = task;
    this.#client = client;
    this.#ref = { taskId: attempt.taskId, fence: attempt.fence };
    this.#cancelWanted = attempt.cancelWanted;
  }

  async run(shutdown: AbortSignal): Promise<void> {
    const { database, holder, log } = this.#services;
    const stop = (): void => { this.#over.abort(); };
    shutdown.addEventListener('abort', stop, { once: true });
    if (shutdown.aborted) stop();
    const renewing = this.#renew();
    try {
      if (this.#attempt.state === 'leased' && !await this.#start()) return;
      const finished = await this.#watch();
      if (finished !== null) await finishOnWorker(this.#services, { attempt: this.#attempt, task: this.#task, finished, cancelWanted: this.#cancelWanted });
      else if (shutdown.aborted) await database.attempts.release({ id: this.#attempt.id, holder });
    } catch (error) {
      if (!(error instanceof SgpoError)) throw error;
      log.warn({ attemptId: this.#attempt.id, taskId: this.#task.id, code: error.code, error: error.message }, 'attempt ends');
      await this.#endWith(error.toFailure(), error.code === 'WORKER.REJECTED' ? 'invalid' : 'infrastructure');
    } finally {
      shutdown.removeEventListener('abort', stop);
      this.#over.abort();
      await renewing;
    }
  }

  /** False when the attempt ended because the worker had no slot after all. */
  async #start(): Promise<boolean> {
    const { database, leaseMs } = this.#services;
    const started = await this.#untilLost(() => this.#client.start({
      ...this.#ref, attempt: this.#attempt.number, leaseSeconds: Math.ceil(leaseMs / 1000), spec: this.#task.spec as WorkerTaskSpec,
      labels: { run_id: this.#attempt.runId, attempt_id: this.#attempt.id },
    }));
    if (started === null) return false;
    if (!started) {
      await database.attempts.end(this.#attempt.id, {
        state: 'lost', failure: { code: 'WORKER.LOST', message: 'the worker had no free slot', remedy: 'The task is placed again by itself' }, next: { kind: 'retry', delayMs: 1_000 },
      });
      return false;
    }
    await database.attempts.started(this.#attempt.id);
    return true;
  }

  /** The finished event, or null when following stopped before it. */
  async #watch(): Promise<FinishedTask | null> {
    const reader = createJournalReader({ database: this.#services.database, attempt: this.#attempt });
    try {
      return await this.#untilLost(async () => {
        for await (const event of this.#client.watch(this.#ref, reader.sequence(), this.#over.signal)) {
          this.#lastContact = Date.now();
          if (event.kind === 'finished') { await reader.flush(); return event.task; }
          await reader.take(event);
        }
        if (this.#over.signal.aborted) return null;
        throw new SgpoError('WORKER.UNREACHABLE', 'the worker ended the stream early', { remedy: 'Watching again by itself' });
      });
    } finally {
      await reader.close();
    }
  }

  /** Repeats a call while the worker does not answer, until the lease must have run out on its side too. null when following is over. */
  async #untilLost<T>(call: () => Promise<T>): Promise<T | null> {
    for (;;) {
      if (this.#over.signal.aborted) return null;
      try { return await call(); } catch (error) {
        if (!(error instanceof SgpoError) || error.code !== 'WORKER.UNREACHABLE' || this.#over.signal.aborted) throw error;
        if (Date.now() - this.#lastContact > this.#services.leaseMs) {
          throw new SgpoError('WORKER.LOST', `${error.message}, for longer than its lease`, { remedy: 'The task is started again by itself on a worker that answers', cause: error });
        }
        await sleep(500);
      }
    }
  }

  async #renew(): Promise<void> {
    const { database, holder, leaseMs, log } = this.#services;
    while (!this.#over.signal.aborted) {
      let answers = false;
      try {
        await this.#client.renew(this.#ref, Math.ceil(leaseMs / 1000));
        answers = true;
        this.#lastContact = Date.now();
        if (this.#cancelWanted) await this.#client.cancel(this.#ref, 'now');
      } catch (error) {
        log.debug({ attemptId: this.#attempt.id, error: String(error) }, 'lease not renewed on the worker');
      }
      try {
        const held = await database.attempts.renew({ id: this.#attempt.id, holder, holdMs, leaseMs: answers ? leaseMs : null });
        if (held === null) this.#over.abort();
        else this.#cancelWanted = held.cancelWanted;
      } catch (error) {
        log.warn({ attemptId: this.#attempt.id, error: String(error) }, 'hold not renewed');
      }
      await sleep(this.#cancelWanted ? 500 : renewEveryMs, undefined, { signal: this.#over.signal }).catch(() => undefined);
    }
  }

  async #endWith(failure: Failure, failureClass: 'invalid' | 'infrastructure'): Promise<void> {
    const next = this.#cancelWanted ? { kind: 'cancel' as const } : decideRetry({ failureClass, attempts: this.#attempt.number });
    await this.#services.database.attempts.end(this.#attempt.id, { state: failureClass === 'invalid' ? 'failed' : 'lost', failure, next });
  }
}
