import { setTimeout as sleep } from 'node:timers/promises';
import { WaitingError, type Job } from 'bullmq';
import { createRepeatGuard, type Log } from './log.ts';
import { payloadSchemas, type Payload, type QueueName } from './payloads.ts';
import type { Queues } from './queues.ts';

const closeTimeoutMs = 3_000;

export interface Consumer {
  /**
   * Takes no more jobs, aborts the signal of the running handlers and waits for them, at most `timeoutMs`; then leaves. A job whose
   * handler did not end goes to another process once its lock has run out.
   */
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

/**
 * Gives the jobs of a queue to `handle`, `concurrency` at once. A job is delivered at least once: again when its process died, or when
 * Redis lost its lock. An error of a handler is logged and ends the job; trying again is the reconciler's decision. `signal` aborts
 * when the consumer closes: a handler that takes long lets go then.
 */
export function startConsumer<Name extends QueueName>({ queues, queue, concurrency, handle, log }: {
  readonly queues: Queues; readonly queue: Name; readonly concurrency: number;
  readonly handle: (payload: Payload<Name>, signal: AbortSignal) => Promise<void>; readonly log: Log;
}): Consumer {
  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  const guard = createRepeatGuard(log, 'trouble with the queue');

  const process = async (job: Job, token: string | undefined): Promise<void> => {
    if (stop.signal.aborted) {
      await job.moveToWait(token);
      throw new WaitingError('the consumer is closing');
    }
    const work = runHandler(job);
    running.add(work);
    try { await work; } finally { running.delete(work); }
  };

  const runHandler = async (job: Job): Promise<void> => {
    try {
      await handle(payloadSchemas[queue].parse(job.data) as Payload<Name>, stop.signal);
    } catch (error) {
      log.error({ queue, jobId: job.id, payload: job.data as unknown, error: error instanceof Error ? error.stack ?? error.message : String(error) }, 'job failed');
      throw error;
    }
  };

  const { worker, disconnect } = queues.openWorker(queue, concurrency, process);
  // Lost connections and lost locks (a flushed Redis) come as events. The worker goes on by itself.
  worker.on('error', (error) => { if (!stop.signal.aborted) guard.warn(error); });

  return {
    async close({ timeoutMs }) {
      stop.abort();
      await settlesWithin(worker.pause(true), closeTimeoutMs);
      const ended = await settlesWithin(allOf(running), timeoutMs);
      if (!ended) log.warn({ queue, running: running.size }, 'jobs still run: leaving them to others');
      if (!await settlesWithin(worker.close(!ended), closeTimeoutMs)) log.warn({ queue }, 'the queue did not close in time: disconnecting');
      disconnect();
    },
  };
}

async function allOf(running: ReadonlySet<Promise<void>>): Promise<void> {
  while (running.size > 0) await Promise.allSettled(running);
}

/** True when the promise ended, well or badly, within `timeoutMs`. */
async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = sleep(timeoutMs, false, { signal: timer.signal }).catch(() => false);
  try { return await Promise.race([promise.then(() => true, () => true), late]); } finally { timer.abort(); }
}
