import type { OutboxRow } from '@sgpo/database';
import { Queue, Worker, type Processor } from 'bullmq';
import { queueNames, type QueueName } from './payloads.ts';
import { connectRedis, waitUntilReady, within } from './redis.ts';

const readyTimeoutMs = 3_000;
const commandTimeoutMs = 10_000;
const lockMs = 30_000;
const stalledEveryMs = 5_000;
const keptEvents = 100;

export interface OpenWorker { readonly worker: Worker; readonly disconnect: () => void }

/** The queues over one connection, and where workers on them come from. */
export interface Queues {
  /** Throws when Redis is not there: asked before rows are locked for sending. */
  ready(): Promise<void>;
  /** Adds a job for each row, in order. A row that is sent twice makes a second job only when the first has been done. */
  send(rows: readonly OutboxRow[]): Promise<void>;
  /** A BullMQ worker on its own connections; `startConsumer` is how to use it. */
  openWorker(queue: QueueName, concurrency: number, process: Processor): OpenWorker;
  /** Throws when Redis does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Full name of a queue in Redis. */
const nameOf = (queue: QueueName): string => `sgpo-${queue}`;

/**
 * Connects to Redis (or Valkey) when first used, and again whenever the connection is lost. `prefix`: first part of every key, so that
 * several installations can share a Redis.
 */
export function createQueues({ redisUrl, prefix = 'sgpo' }: { readonly redisUrl: string; readonly prefix?: string }): Queues {
  const redis = connectRedis(redisUrl);
  // Retries are decided by the orchestrator, and what became of a job is in Postgres: a job leaves nothing behind.
  const defaultJobOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };
  const queues = new Map(queueNames.map((queue) => {
    const made = new Queue(nameOf(queue), { connection: redis, prefix, defaultJobOptions, streams: { events: { maxLen: keptEvents } } });
    made.on('error', () => undefined); // told by the command that fails
    return [queue, made];
  }));

  return {
    ready: () => waitUntilReady(redis, readyTimeoutMs),

    async send(rows) {
      await waitUntilReady(redis, readyTimeoutMs);
      for (const [name, queue] of queues) {
        const jobs = rows.filter((row) => row.queue === name).map((row) => ({ name, data: row.payload, opts: { jobId: `${name}-${String(row.id)}` } }));
        if (jobs.length > 0) await within(queue.addBulk(jobs), commandTimeoutMs, 'adding jobs');
      }
    },

    openWorker(queue, concurrency, process) {
      const connection = connectRedis(redisUrl);
      const worker = new Worker(nameOf(queue), process, {
        connection, prefix, concurrency, lockDuration: lockMs, stalledInterval: stalledEveryMs,
        // A job whose process died is given out again however often that happens: its handler finds out whether there is anything to do.
        maxStalledCount: Number.MAX_SAFE_INTEGER,
      });
      return { worker, disconnect: () => { connection.disconnect(); } };
    },

    async ping() {
      await waitUntilReady(redis, readyTimeoutMs);
      await within(redis.ping(), commandTimeoutMs, 'PING');
    },

    async close() {
      // Queues on a connection of ours leave it open; whatever still waits on it has nobody left to wait for it.
      await Promise.allSettled([...queues.values()].map((queue) => within(queue.close(), readyTimeoutMs, 'closing a queue')));
      redis.disconnect();
    },
  };
}
