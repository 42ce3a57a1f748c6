/**
 * Equal tasks (same cache key) of runs that run at the same time: the first to become ready does the work, the others wait, pending, with the
 * key in their row, and are told when it ends or its run stops. Advisory locks keep a waiter from missing that:
 *   - who decides between waiting and working holds the lock of the key until the decision is committed, and so does who ends a task;
 *   - a run that stops as a whole holds the lock of all keys, which every decision holds shared.
 * They are taken after the run's row and before any other row, so that nobody can wait in a circle.
 */
import type { AttemptId, TaskId } from '@sgpo/core';
import type { Client, Transaction } from './client.ts';
import type { Task } from './generated/client.ts';
import { refuse, type RunChange } from './run-change.ts';

/** Advisory lock spaces: one lock a key (by its hash: two keys that share one only wait for each other), and one for all keys. */
const keySpace = 72_707_371;
const allKeysSpace = 72_707_372;

/** Held by the decisions of `waitsForEqual`. */
export const lockKey = (tx: Transaction, cacheKey: string): Promise<unknown> =>
  tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(${allKeysSpace}::int, 0), pg_advisory_xact_lock(${keySpace}::int, hashtext(${cacheKey}))`;

/** Held while an attempt ends. */
export const lockKeyOfAttempt = (tx: Transaction, id: AttemptId): Promise<unknown> => tx.$executeRaw`
  SELECT pg_advisory_xact_lock(${keySpace}::int, hashtext(task.cache_key::text)) FROM attempt JOIN task ON task.id = attempt.task_id WHERE attempt.id = ${id}`;

const lockAllKeys = (tx: Transaction): Promise<unknown> => tx.$executeRaw`SELECT pg_advisory_xact_lock(${allKeysSpace}::int, 0)`;

/** A task that is ready or running in a running run, or still running in a paused one. */
const atWork = { OR: [{ state: { in: ['ready', 'running'] }, step: { run: { state: 'running' } } }, { state: 'running', step: { run: { state: 'paused' } } }] };

/** Those of the keys that a task is at work for. */
export async function keysAtWork(client: Client, cacheKeys: readonly string[]): Promise<ReadonlySet<string>> {
  if (cacheKeys.length === 0) return new Set();
  const found = await client.task.findMany({ where: { cacheKey: { in: [...cacheKeys] }, ...atWork }, select: { cacheKey: true } });
  return new Set(found.flatMap(({ cacheKey }) => cacheKey ?? []));
}

/** The newest succeeded task with this key. */
export const findFinished = (client: Client | Transaction, cacheKey: string): Promise<Task | null> =>
  client.task.findFirst({ where: { cacheKey, state: 'succeeded' }, orderBy: [{ endedAt: 'desc' }, { id: 'desc' }] });

/**
 * Decides about a pending task, under `lockKey`: true when it waits. It also waits, and its own run advances at once, when an equal task has
 * finished that it was not told of: that one may have ended after the caller looked for it. The second time it works, for then the caller
 * has seen that one and found no use for it.
 */
export async function waitsForEqual(change: RunChange, id: TaskId, cacheKey: string): Promise<boolean> {
  if (await change.tx.task.findFirst({ where: { cacheKey, id: { not: id }, ...atWork }, select: { id: true } }) !== null) {
    await keepWaiting(change, id, { cacheKey });
    return true;
  }
  const finished = await findFinished(change.tx, cacheKey);
  if (finished === null) return false;
  const { toldOf } = await change.tx.task.findUniqueOrThrow({ where: { id }, select: { toldOf: true } });
  if (toldOf === finished.id) return false;
  await keepWaiting(change, id, { cacheKey, toldOf: finished.id });
  change.enqueue('advance', { runId: change.runId });
  return true;
}

async function keepWaiting(change: RunChange, id: TaskId, data: { readonly cacheKey: string; readonly toldOf?: string }): Promise<void> {
  const { count } = await change.tx.task.updateMany({ where: { id, state: 'pending' }, data });
  if (count === 0) refuse();
}

/** For a task that ends, under `lockKeyOfAttempt`: other runs with a task that waits for it advance. */
export async function wakeWaiting(change: RunChange, { cacheKey }: Pick<Task, 'cacheKey'>): Promise<void> {
  if (cacheKey === null) return;
  const waiting = await change.tx.task.findMany({
    where: { cacheKey, state: 'pending', runId: { not: change.runId }, step: { run: { state: 'running' } } }, distinct: ['runId'], select: { runId: true },
  });
  for (const { runId } of waiting) change.enqueue('advance', { runId });
}

/** For a run that stops, before any of its tasks moves: other runs with a task that waits for one of its ready or running tasks advance. */
export async function leaveWork(change: RunChange): Promise<void> {
  await lockAllKeys(change.tx);
  const waiting = await change.tx.$queryRaw<{ runId: string }[]>`
    SELECT DISTINCT waiting.run_id AS "runId"
    FROM task AS own JOIN task AS waiting ON waiting.cache_key = own.cache_key JOIN run ON run.id = waiting.run_id
    WHERE own.run_id = ${change.runId} AND own.state IN ('ready', 'running') AND waiting.state = 'pending' AND waiting.run_id <> own.run_id AND run.state = 'running'`;
  for (const { runId } of waiting) change.enqueue('advance', { runId });
}
