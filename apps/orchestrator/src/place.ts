import { place } from '@sgpo/core';
import type { Services } from './services.ts';
import { aliveMs } from './worker-registry.ts';

/** Gives ready worker tasks to free slots. The claim in the database decides; a task or slot taken meanwhile is left alone. */
export async function placeTasks(services: Services): Promise<void> {
  const { tasks, workers } = await services.database.attempts.placeable(aliveMs);
  for (const assignment of place(tasks, workers)) {
    const attemptId = await services.database.attempts.claim({
      taskId: assignment.taskId, workerId: assignment.workerId, slot: assignment.slot, leaseMs: services.leaseMs,
    });
    if (attemptId !== null) services.log.info({ attemptId, taskId: assignment.taskId, worker: assignment.workerId }, 'task placed');
  }
}
