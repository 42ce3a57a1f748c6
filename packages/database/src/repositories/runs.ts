import { isTerminal, runTransitions, type RunId, type RunState } from '@sgpo/core';
import { Prisma } from '../generated/client.ts';
import type { Client, Transaction } from '../client.ts';
import { requireSameBody } from '../idempotency.ts';
import { toJson } from '../json.ts';
import { toRunRow, toStepRow, toTaskRow } from '../mappers.ts';
import type { RunRepository, RunRow } from '../repositories.ts';
import { changeRun, refuse } from '../run-change.ts';
import { pauseRun, resumeRun } from '../run-pause.ts';
import { insertRun, type NewRun } from '../run-rows.ts';
import { leaveWork } from '../shared-work.ts';
import { closeSteps, liveAttemptStates, moveRun, moveTasks } from '../transitions.ts';

const activeStates = (Object.keys(runTransitions) as RunState[]).filter((state) => state !== 'paused' && !isTerminal('run', state));

export function createRunRepository(client: Client): RunRepository {
  return {
    create: (input) => client.$transaction((tx) => createRun(tx, input)),

    async get(id, teamId) {
      const row = await client.run.findFirst({ where: { id, ...(teamId === undefined ? {} : { teamId }) } });
      return row === null ? null : toRunRow(row);
    },

    async tree(id, teamId) {
      // One snapshot: a tree whose parts are of different moments could show a finished step with an unfinished task.
      const row = await client.$transaction((tx) => tx.run.findFirst({
        where: { id, ...(teamId === undefined ? {} : { teamId }) },
        include: { steps: { orderBy: { position: 'asc' }, include: { tasks: { orderBy: { index: 'asc' } } } } },
      }), { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead });
      if (row === null) return null;
      return { run: toRunRow(row), steps: row.steps.map((step) => ({ ...toStepRow(step), tasks: step.tasks.map(toTaskRow) })) };
    },

    async list({ teamId, limit, before, state }) {
      const rows = await client.run.findMany({
        where: { teamId, ...(before === null ? {} : { id: { lt: before } }), ...(state === null ? {} : { state }) }, orderBy: { id: 'desc' }, take: limit,
      });
      return rows.map(toRunRow);
    },

    start: (id) => changeRun(client, { run: id }, false, async (change) => {
      if (change.runState === 'paused') refuse(); // only its owner resumes it
      await moveRun(change, 'running', { startedAt: change.now });
      return true;
    }),

    pause: (id, reason) => changeRun(client, { run: id }, false, async (change) => {
      await pauseRun(change, reason);
      return true;
    }),

    resume: (id, budget) => changeRun(client, { run: id }, false, async (change) => {
      await resumeRun(change, budget);
      return true;
    }),

    requestCancel: (id) => changeRun(client, { run: id }, false, async (change) => {
      await leaveWork(change);
      await moveRun(change, 'canceling');
      await moveTasks(change, { state: { in: ['pending', 'ready'] } }, 'canceled');
      await closeSteps(change, { tasks: { none: { state: 'running' } } });
      await wishAttemptsCanceled(change.tx, id);
      change.enqueue('advance', { runId: id });
      return true;
    }),

    finishCancel: (id) => changeRun(client, { run: id }, false, async (change) => {
      const alive = await change.tx.attempt.count({ where: { runId: id, state: { in: [...liveAttemptStates] } } });
      if (alive > 0) refuse();
      await moveTasks(change, {}, 'canceled');
      await closeSteps(change);
      await moveRun(change, 'canceled');
      return true;
    }),

    fail: (id, failure) => changeRun(client, { run: id }, false, async (change) => {
      await leaveWork(change);
      await moveTasks(change, {}, 'canceled');
      await closeSteps(change);
      await wishAttemptsCanceled(change.tx, id);
      await moveRun(change, 'failed', { failure: toJson(failure) }, { code: failure.code });
      return true;
    }),

    succeed: (id) => changeRun(client, { run: id }, false, async (change) => {
      const unfinished = await change.tx.step.count({ where: { runId: id, state: { notIn: ['succeeded', 'cached'] } } });
      if (unfinished > 0) refuse();
      await moveRun(change, 'succeeded');
      return true;
    }),

    async active() {
      const rows = await client.run.findMany({ where: { state: { in: activeStates } }, orderBy: { id: 'asc' }, select: { id: true } });
      return rows.map((row) => row.id as RunId);
    },
  };
}

const wishAttemptsCanceled = (tx: Transaction, runId: RunId): Promise<unknown> =>
  tx.attempt.updateMany({ where: { runId, state: { in: [...liveAttemptStates] } }, data: { cancelWanted: true } });

async function createRun(tx: Transaction, input: NewRun): Promise<{ run: RunRow; created: boolean }> {
  const id = await insertRun(tx, input, null);
  const { teamId, idempotencyKey, bodyHash } = input;
  const row = await tx.run.findFirstOrThrow({ where: id === null ? { teamId, idempotencyKey } : { id } });
  if (id === null) requireSameBody(idempotencyKey, bodyHash, { kind: 'run', id: row.id, bodyHash: row.bodyHash });
  return { run: toRunRow(row), created: id !== null };
}
