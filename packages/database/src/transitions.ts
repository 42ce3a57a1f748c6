/**
 * The only writer of a status that exists: compare-and-sets on the tables of core/states.ts, with their events. (Rows are born in
 * `create`, `expand` and the claims.) Each works on all rows that `where` names and the table lets move, and returns those that moved.
 */
import { attemptTransitions, isTerminal, sourcesOf, type AttemptState, type RunState, type StepState, type TaskState } from '@sgpo/core';
import type { Attempt, Prisma, Step, Task } from './generated/client.ts';
import { refuse, type RunChange } from './run-change.ts';

type EventData = Readonly<Record<string, unknown>>;

/** States of an attempt that has not ended. */
export const liveAttemptStates: readonly AttemptState[] = (Object.keys(attemptTransitions) as AttemptState[]).filter((state) => !isTerminal('attempt', state));

/** Moves the change's run, or refuses the whole change. Only a paused run has a reason for it. */
export async function moveRun(change: RunChange, to: RunState, data: Prisma.RunUpdateManyMutationInput = {}, eventData: EventData = {}, eventType = 'run.state'): Promise<void> {
  const ended = isTerminal('run', to) ? { endedAt: change.now } : {};
  const { count } = await change.tx.run.updateMany({
    where: { id: change.runId, state: { in: sourcesOf('run', to) } }, data: { pauseReason: null, ...data, ...ended, state: to },
  });
  if (count === 0) refuse();
  change.event({ type: eventType, data: { state: to, ...eventData } });
}

/** Moves steps of the change's run. */
export async function moveSteps(change: RunChange, where: Prisma.StepWhereInput, to: StepState, data: Prisma.StepUpdateManyMutationInput = {}): Promise<readonly Step[]> {
  const ended = isTerminal('step', to) ? { endedAt: change.now } : {};
  const moved = await change.tx.step.updateManyAndReturn({
    where: { AND: [where, { runId: change.runId, state: { in: sourcesOf('step', to) } }] }, data: { ...data, ...ended, state: to },
  });
  moved.sort((a, b) => a.position - b.position);
  for (const step of moved) change.event({ type: 'step.state', stepKey: step.key, data: { state: to } });
  return moved;
}

/** Moves tasks of the change's run; those that end well are counted as done. */
export async function moveTasks(
  change: RunChange, where: Prisma.TaskWhereInput, to: TaskState, data: Prisma.TaskUpdateManyMutationInput = {}, eventData: EventData = {},
): Promise<readonly Task[]> {
  const ended = isTerminal('task', to) ? { endedAt: change.now } : {};
  const moved = await change.tx.task.updateManyAndReturn({
    where: { AND: [where, { runId: change.runId, state: { in: sourcesOf('task', to) } }] }, data: { ...data, ...ended, state: to },
  });
  if (moved.length === 0) return moved;
  const steps = await change.tx.step.findMany({ where: { id: { in: moved.map((task) => task.stepId) } }, select: { id: true, key: true, position: true } });
  const stepOf = new Map(steps.map((step) => [step.id, step]));
  const positionOf = (task: Task): number => stepOf.get(task.stepId)?.position ?? 0;
  moved.sort((a, b) => positionOf(a) - positionOf(b) || a.index - b.index);
  for (const task of moved) {
    const stepKey = stepOf.get(task.stepId)?.key;
    change.event({
      type: 'task.state', taskId: task.id, ...(stepKey === undefined ? {} : { stepKey }),
      data: { state: to, role: task.role, index: task.index, ...(task.attempts > 0 ? { attempt: task.attempts } : {}), ...eventData },
    });
  }
  if (to === 'succeeded' || to === 'cached') change.count({ done: moved.length });
  return moved;
}

/** Moves attempts of the change's run. Those that end lose their holder and their lease, and a slot that becomes free is offered. */
export async function moveAttempts(change: RunChange, where: Prisma.AttemptWhereInput, to: AttemptState, data: Prisma.AttemptUpdateManyMutationInput = {}): Promise<readonly Attempt[]> {
  const ends = isTerminal('attempt', to);
  const moved = await change.tx.attempt.updateManyAndReturn({
    where: { AND: [where, { runId: change.runId, state: { in: sourcesOf('attempt', to) } }] },
    data: { ...data, ...(ends ? { endedAt: change.now, holder: null, heldUntil: null } : {}), state: to },
  });
  if (ends && moved.length > 0) {
    await change.tx.lease.deleteMany({ where: { attemptId: { in: moved.map((attempt) => attempt.id) } } });
    if (moved.some((attempt) => attempt.workerId !== null)) change.enqueue('place', {});
  }
  return moved;
}

/** Ends steps of a run that will not go on: with a failed task → failed, the others → canceled. */
export async function closeSteps(change: RunChange, where: Prisma.StepWhereInput = {}): Promise<void> {
  await moveSteps(change, { AND: [where, { tasks: { some: { state: 'failed' } } }] }, 'failed');
  await moveSteps(change, where, 'canceled');
}

/** Asks for a ready task to be run: a local one by whoever gets the job, a worker's by placement. */
export function enqueueTask(change: RunChange, task: Task, dueAt?: Date): void {
  if (task.location === 'local') change.enqueue('local', { taskId: task.id }, dueAt);
  else change.enqueue('place', {}, dueAt);
}
