import { isTerminal, runTransitions, SgpoError, stepKinds, type RunId, type RunState } from '@sgpo/core';
import { Prisma } from '../generated/client.ts';
import { databaseNow, type Client, type Transaction } from '../client.ts';
import { createId } from '../ids.ts';
import { toJson } from '../json.ts';
import { toRunRow, toStepRow, toTaskRow } from '../mappers.ts';
import type { RunRepository, RunRow } from '../repositories.ts';
import { changeRun, refuse, withRun } from '../run-change.ts';
import { closeSteps, liveAttemptStates, moveRun, moveTasks } from '../transitions.ts';

type NewRun = Parameters<RunRepository['create']>[0];

const activeStates = (Object.keys(runTransitions) as RunState[]).filter((state) => !isTerminal('run', state));

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
      await moveRun(change, 'running', { startedAt: change.now });
      return true;
    }),

    requestCancel: (id) => changeRun(client, { run: id }, false, async (change) => {
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
  const id = createId('run');
  const now = await databaseNow(tx);
  const row: Prisma.RunCreateManyInput = {
    id, teamId: input.teamId, name: input.spec.name, preset: input.spec.preset, state: 'queued', spec: toJson(input.spec),
    idempotencyKey: input.idempotencyKey, bodyHash: input.bodyHash, createdAt: now, updatedAt: now,
  };
  // The unique key decides between equal calls: the second waits here until the first has committed, and then inserts nothing.
  const { count } = await tx.run.createMany({ data: [row], skipDuplicates: input.idempotencyKey !== null });
  if (count === 0) return { run: await findEarlier(tx, input), created: false };
  await withRun(tx, { id, state: 'queued', now }, async (change) => {
    change.event({ type: 'run.created', data: { state: 'queued', name: input.spec.name, preset: input.spec.preset, steps: input.plan.steps.length } });
    change.count({ total: await createSteps(tx, id, input.plan, now) });
    change.enqueue('advance', { runId: id });
  });
  return { run: toRunRow(await tx.run.findUniqueOrThrow({ where: { id } })), created: true };
}

async function findEarlier(tx: Transaction, { teamId, idempotencyKey, bodyHash }: NewRun): Promise<RunRow> {
  const earlier = await tx.run.findFirstOrThrow({ where: { teamId, idempotencyKey } });
  if (earlier.bodyHash !== bodyHash) {
    throw new SgpoError('RUN.IDEMPOTENCY_CONFLICT', `The Idempotency-Key ${JSON.stringify(idempotencyKey)} made run ${earlier.id} from another body`, {
      remedy: 'Send a new key with the new body, or the first body with this key',
    });
  }
  return toRunRow(earlier);
}

/** Writes the steps, and the one task of each that is not sharded. Returns the number of tasks. */
async function createSteps(tx: Transaction, runId: RunId, plan: NewRun['plan'], now: Date): Promise<number> {
  const steps = plan.steps.map((step, position) => ({ id: createId('step'), position, step }));
  await tx.step.createMany({
    data: steps.map(({ id, position, step }) => ({
      id, runId, key: step.key, kind: step.kind, title: step.title, position, state: 'pending', space: step.space,
      inputs: toJson(step.inputs), parameters: toJson(step.parameters),
    })),
  });
  const tasks = steps.filter(({ step }) => !stepKinds[step.kind].sharded).map(({ id, step }) => ({
    id: createId('task'), stepId: id, runId, index: 0, role: 'whole', location: stepKinds[step.kind].where, state: 'pending', createdAt: now,
  }));
  await tx.task.createMany({ data: tasks });
  return tasks.length;
}
