import { SgpoError } from '@sgpo/core';
import { createArtifacts } from '../artifact-rows.ts';
import type { Client, Transaction } from '../client.ts';
import { toJson, toJsonOrNull } from '../json.ts';
import { toTaskRow } from '../mappers.ts';
import type { ArtifactInput, TaskRepository } from '../repositories.ts';
import { changeRun, refuse } from '../run-change.ts';
import { findFinished, keysAtWork, lockKey, waitsForEqual } from '../shared-work.ts';
import { enqueueTask, moveTasks } from '../transitions.ts';

export function createTaskRepository(client: Client): TaskRepository {
  return {
    async get(id) {
      const row = await client.task.findUnique({ where: { id } });
      return row === null ? null : toTaskRow(row);
    },

    markReady: (id, { cacheKey, spec, inputs, share }) => changeRun<'ready' | 'waits', 'stale'>(client, { task: id }, 'stale', async (change) => {
      if (share) {
        await lockKey(change.tx, cacheKey);
        if (await waitsForEqual(change, id, cacheKey)) return 'waits';
      }
      await createArtifacts(change.tx, inputs.flatMap((input) => input.artifact ?? []), change.now);
      await requireRecorded(change.tx, id, inputs);
      const [task] = await moveTasks(change, { id, state: 'pending' }, 'ready', {
        cacheKey, spec: toJson(spec), inputs: toJson(inputs.map(({ role, digest }) => ({ role, digest }))), readyAt: change.now,
      });
      if (task === undefined) refuse();
      enqueueTask(change, task);
      return 'ready';
    }),

    atWork: (cacheKeys) => keysAtWork(client, cacheKeys),

    markCached: (id, { cacheKey, from }) => changeRun(client, { task: id }, false, async (change) => {
      const source = await change.tx.task.findUnique({ where: { id: from } });
      if (source === null || (source.state !== 'succeeded' && source.state !== 'cached')) {
        throw new TypeError(`task ${from} is ${source?.state ?? 'unknown'}: only a finished task can stand in for task ${id}`);
      }
      const reuses = source.reuses ?? source.id;
      const moved = await moveTasks(change, { id }, 'cached', {
        cacheKey, reuses, output: source.output, rowsIn: source.rowsIn, rowsOut: source.rowsOut, dropped: toJsonOrNull(source.dropped), stats: toJsonOrNull(source.stats),
        rowsDone: source.rowsTotal, rowsTotal: source.rowsTotal, unit: source.unit,
      }, { reuses });
      if (moved.length === 0) refuse();
      return true;
    }),

    markFailed: (id, failure) => changeRun(client, { task: id }, false, async (change) => {
      const moved = await moveTasks(change, { id, state: 'pending' }, 'failed', { failure: toJson(failure) }, { code: failure.code });
      if (moved.length === 0) refuse();
      return true;
    }),

    async findEqual(cacheKey) {
      const row = await findFinished(client, cacheKey);
      return row === null ? null : toTaskRow(row);
    },
  };
}

/** The inputs become links to artifacts when the task succeeds: better refused now than after the work is done. */
async function requireRecorded(tx: Transaction, taskId: string, inputs: readonly ArtifactInput[]): Promise<void> {
  const digests = [...new Set(inputs.map((input) => input.digest))];
  const known = new Set((await tx.artifact.findMany({ where: { digest: { in: digests } }, select: { digest: true } })).map((row) => row.digest));
  const unknown = inputs.filter((input) => !known.has(input.digest));
  if (unknown.length === 0) return;
  throw new SgpoError('ARTIFACT.NOT_FOUND', `Inputs of task ${taskId} are not recorded: ${unknown.map((input) => `${input.role} ${input.digest}`).join(', ')}`, {
    remedy: 'Name artifacts that a task made, or pass the record of one that was written for this task with the input',
    problems: unknown.map((input) => ({ field: `inputs.${input.role}`, value: input.digest, message: 'no artifact has this digest', fix: 'pass its record with the input' })),
  });
}
