import type { Budget } from '@sgpo/core';
import { toJson } from './json.ts';
import type { PauseReason } from './repositories.ts';
import { refuse, type RunChange } from './run-change.ts';
import { leaveWork } from './shared-work.ts';
import { enqueueTask, moveRun } from './transitions.ts';

/** running → paused. Nobody waits for what is ready in a paused run; what runs goes on to its end. */
export async function pauseRun(change: RunChange, reason: PauseReason): Promise<void> {
  await leaveWork(change);
  await moveRun(change, 'paused', { pauseReason: reason }, { reason }, 'run.paused');
}

/** paused → running: what was ready is asked for again. */
export async function resumeRun(change: RunChange, budget: Budget | null): Promise<void> {
  if (change.runState !== 'paused') refuse();
  await moveRun(change, 'running', budget === null ? {} : { budget: toJson(budget) }, budget === null ? {} : { budget }, 'run.resumed');
  change.enqueue('advance', { runId: change.runId });
  const ready = await change.tx.task.updateManyAndReturn({ where: { runId: change.runId, state: 'ready' }, data: { readyAt: change.now } });
  for (const task of ready) if (task.location === 'local') enqueueTask(change, task, dueOf(change, task));
  // One job places any number of tasks.
  for (const dueAt of new Set(ready.filter((task) => task.location === 'worker').map((task) => dueOf(change, task).getTime()))) change.enqueue('place', {}, new Date(dueAt));
}

const dueOf = ({ now }: RunChange, { notBefore }: { readonly notBefore: Date | null }): Date => (notBefore !== null && notBefore > now ? notBefore : now);
