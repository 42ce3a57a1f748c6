import { isDigest, type RunId, type TaskId, type WorkerId } from '@sgpo/core';
import { addMs, databaseNow, type Client, type Transaction } from '../client.ts';
import type { Attempt, Prisma, Task } from '../generated/client.ts';
import { createId } from '../ids.ts';
import { toAttemptRow } from '../mappers.ts';
import type { AttemptRepository, FreeWorker, PlaceableTask } from '../repositories.ts';
import { changeRun, refuse, type RunChange } from '../run-change.ts';
import { moveTasks } from '../transitions.ts';

interface ReadyTask { readonly id: string; readonly runId: string; readonly model: string | null; readonly position: number; readonly index: number; readonly createdAt: Date; readonly preview: boolean }

export function createClaims(client: Client): Pick<AttemptRepository, 'placeable' | 'claim' | 'claimLocal'> {
  return {
    async placeable(aliveMs) {
      const [tasks, workers] = await Promise.all([readyWorkerTasks(client), freeWorkers(client, aliveMs)]);
      return { tasks, workers };
    },

    claim: ({ taskId, workerId, slot, leaseMs }) => changeRun(client, { task: taskId }, null, async (change) => {
      const worker = await change.tx.worker.findUnique({ where: { id: workerId } });
      if (worker === null || worker.draining || slot < 0 || slot >= worker.slots) refuse();
      const task = await startTask(change, { id: taskId, location: 'worker' }, { workerId });
      const attempt = await createAttempt(change, task, { state: 'leased', workerId });
      // The primary key (worker, slot) decides between claims of one slot.
      const { count } = await change.tx.lease.createMany({
        data: [{ workerId, slot, attemptId: attempt.id, fence: attempt.fence, expiresAt: addMs(change.now, leaseMs) }], skipDuplicates: true,
      });
      if (count === 0) refuse();
      change.enqueue('follow', { attemptId: attempt.id });
      return toAttemptRow(attempt).id;
    }),

    claimLocal: ({ taskId, holder, holdMs }) => changeRun(client, { task: taskId }, null, async (change) => {
      const task = await startTask(change, { id: taskId, location: 'local' }, {});
      return toAttemptRow(await createAttempt(change, task, { state: 'running', holder, heldUntil: addMs(change.now, holdMs), startedAt: change.now }));
    }),
  };
}

/** Ready → running for a task that is due, in a run that is running. */
async function startTask(change: RunChange, where: { readonly id: TaskId; readonly location: string }, eventData: Readonly<Record<string, unknown>>): Promise<Task> {
  if (change.runState !== 'running') refuse();
  const before = await change.tx.task.findUnique({ where: { id: where.id }, select: { attempts: true, startedAt: true } });
  if (before === null) refuse();
  const [task] = await moveTasks(change, { ...where, OR: [{ notBefore: null }, { notBefore: { lte: change.now } }] }, 'running', {
    attempts: before.attempts + 1, startedAt: before.startedAt ?? change.now, rowsDone: 0,
  }, { ...eventData, attempt: before.attempts + 1 });
  if (task === undefined) refuse();
  return task;
}

async function createAttempt(change: RunChange, task: Task, data: Partial<Prisma.AttemptUncheckedCreateInput> & { readonly state: 'leased' | 'running' }): Promise<Attempt> {
  const fence = await nextFence(change.tx);
  return change.tx.attempt.create({ data: { ...data, id: createId('attempt'), taskId: task.id, runId: change.runId, number: task.attempts, fence, createdAt: change.now } });
}

async function nextFence(tx: Transaction): Promise<bigint> {
  const [row] = await tx.$queryRaw<{ fence: bigint }[]>`SELECT nextval('attempt_fence') AS fence`;
  if (row === undefined) throw new TypeError('Postgres gave no row for nextval(attempt_fence)');
  return row.fence;
}

async function readyWorkerTasks(client: Client): Promise<PlaceableTask[]> {
  // Only the model of a spec is wanted: specs may be long.
  const rows = await client.$queryRaw<ReadyTask[]>`
    SELECT task.id, task.run_id AS "runId", task.spec->>'model' AS model, step.position, task.index, run.created_at AS "createdAt", run.spec->>'preview' IS NOT NULL AS preview
    FROM task JOIN step ON step.id = task.step_id JOIN run ON run.id = task.run_id
    WHERE task.state = 'ready' AND task.location = 'worker' AND run.state = 'running' AND (task.not_before IS NULL OR task.not_before <= clock_timestamp())
    ORDER BY task.run_id, step.position, task.index`;
  return rows.map((row) => ({
    id: row.id as TaskId, runId: row.runId as RunId, model: row.model !== null && isDigest(row.model) ? row.model : null,
    position: row.position, index: row.index, createdAt: row.createdAt, preview: row.preview,
  }));
}

async function freeWorkers(client: Client, aliveMs: number): Promise<FreeWorker[]> {
  const seenSince = addMs(await databaseNow(client), -aliveMs);
  const workers = await client.worker.findMany({ where: { draining: false, lastSeenAt: { gte: seenSince } }, orderBy: { id: 'asc' } });
  const leases = await client.lease.findMany({ where: { workerId: { in: workers.map((worker) => worker.id) } }, select: { workerId: true, slot: true } });
  return workers.flatMap((worker) => {
    const taken = new Set(leases.filter((lease) => lease.workerId === worker.id).map((lease) => lease.slot));
    const freeSlots = Array.from({ length: worker.slots }, (_, slot) => slot).filter((slot) => !taken.has(slot));
    const { warmModel } = worker;
    return freeSlots.length === 0 ? [] : [{ id: worker.id as WorkerId, warmModel: warmModel !== null && isDigest(warmModel) ? warmModel : null, freeSlots }];
  });
}
