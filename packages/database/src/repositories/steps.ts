import type { Client } from '../client.ts';
import { createId } from '../ids.ts';
import { toJsonOrNull } from '../json.ts';
import type { StepRepository } from '../repositories.ts';
import { changeRun, refuse } from '../run-change.ts';
import { moveSteps } from '../transitions.ts';

export function createStepRepository(client: Client): StepRepository {
  return {
    expand: (id, tasks) => changeRun(client, { step: id }, false, async (change) => {
      const pending = await change.tx.step.count({ where: { id, state: 'pending', tasks: { none: {} } } });
      if (pending === 0) refuse();
      await change.tx.task.createMany({
        data: tasks.map((task) => ({ ...task, id: createId('task'), stepId: id, runId: change.runId, state: 'pending', createdAt: change.now })),
      });
      change.count({ total: tasks.length });
      return true;
    }),

    begin: (id) => changeRun(client, { step: id }, false, async (change) => {
      const moved = await moveSteps(change, { id }, 'running', { startedAt: change.now });
      if (moved.length === 0) refuse();
      return true;
    }),

    finish: (id, from) => changeRun(client, { step: id }, false, async (change) => {
      const tasks = await change.tx.task.findMany({ where: { stepId: id } });
      const source = tasks.find((task) => task.id === from);
      if (source === undefined) throw new TypeError(`task ${from} is not a task of step ${id}: name the step's merge or whole task`);
      if (tasks.some((task) => task.state !== 'succeeded' && task.state !== 'cached')) refuse();
      const moved = await moveSteps(change, { id }, tasks.every((task) => task.state === 'cached') ? 'cached' : 'succeeded', {
        output: source.output, rowsIn: source.rowsIn, rowsOut: source.rowsOut, dropped: toJsonOrNull(source.dropped), stats: toJsonOrNull(source.stats),
      });
      if (moved.length === 0) refuse();
      return true;
    }),
  };
}
