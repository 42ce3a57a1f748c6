/**
 * The one way to change a run and what hangs on it. A change is a transaction that
 *   1. locks the run's row: changes of one run happen one after the other, and every transaction takes its locks in the same order
 *      (run, then the keys of shared-work.ts, step, task, attempt, lease), so that none can wait in a circle;
 *   2. does its compare-and-sets (transitions.ts) and notes events, counts and jobs;
 *   3. ends by numbering and writing the events, raising the run's counters, and writing the jobs to the outbox.
 * A refusal or an error leaves nothing.
 */
import { runTransitions, type AttemptId, type RunId, type RunState, type StepId, type TaskId } from '@sgpo/core';
import { Prisma } from './generated/client.ts';
import type { Client, Transaction } from './client.ts';
import { toJson } from './json.ts';
import { addJobs, type NewJob } from './outbox-rows.ts';
import type { OutboxRow } from './repositories.ts';

export interface NewEvent { readonly type: string; readonly stepKey?: string; readonly taskId?: string; readonly data: Readonly<Record<string, unknown>> }

/** What names the run to change: itself, or something that belongs to it. */
export type Subject = { readonly run: RunId } | { readonly step: StepId } | { readonly task: TaskId } | { readonly attempt: AttemptId };

/** A change under way. */
export interface RunChange {
  readonly tx: Transaction;
  readonly runId: RunId;
  /** State of the run when it was locked. */
  readonly runState: RunState;
  /** The database's time at the start of the change; every time this change writes. */
  readonly now: Date;
  event(event: NewEvent): void;
  /** `dueAt`: not to be delivered before; now by default. */
  enqueue(queue: OutboxRow['queue'], payload: Readonly<Record<string, string>>, dueAt?: Date): void;
  /** Raises the run's counters of tasks. */
  count(tasks: { readonly done?: number; readonly total?: number }): void;
}

class Refusal extends Error {}

/** Ends the change: a compare-and-set found another state. Nothing of it stays. */
export function refuse(): never {
  throw new Refusal('the compare-and-set found another state');
}

/** Runs `work` as a change of the subject's run; `otherwise` when there is no such run or the change was refused. */
export async function changeRun<Result, Otherwise>(client: Client, subject: Subject, otherwise: Otherwise, work: (change: RunChange) => Promise<Result>): Promise<Result | Otherwise> {
  try {
    return await client.$transaction(async (tx) => {
      const run = await lockRun(tx, subject);
      return withRun(tx, run, work);
    });
  } catch (error) {
    if (error instanceof Refusal) return otherwise;
    throw error;
  }
}

export interface LockedRun { readonly id: RunId; readonly state: RunState; readonly now: Date }

/** Steps 2 and 3 of a change, in a transaction that holds the run's row: for the one that has just inserted it. */
export async function withRun<Result>(tx: Transaction, run: LockedRun, work: (change: RunChange) => Promise<Result>): Promise<Result> {
  const events: NewEvent[] = [];
  const jobs: NewJob[] = [];
  const tasks = { done: 0, total: 0 };
  const result = await work({
    tx, runId: run.id, runState: run.state, now: run.now,
    event: (event) => { events.push(event); },
    enqueue: (queue, payload, dueAt = run.now) => { jobs.push({ queue, payload, dueAt }); },
    count: ({ done = 0, total = 0 }) => { tasks.done += done; tasks.total += total; },
  });
  const { eventSequence } = await tx.run.update({
    where: { id: run.id }, select: { eventSequence: true },
    data: { eventSequence: { increment: events.length }, tasksDone: { increment: tasks.done }, tasksTotal: { increment: tasks.total }, updatedAt: run.now },
  });
  const first = eventSequence - events.length + 1;
  if (events.length > 0) {
    await tx.event.createMany({
      data: events.map((event, index) => ({
        runId: run.id, sequence: first + index, at: run.now, type: event.type, stepKey: event.stepKey ?? null, taskId: event.taskId ?? null, data: toJson(event.data),
      })),
    });
  }
  await addJobs(tx, jobs);
  return result;
}

async function lockRun(tx: Transaction, subject: Subject): Promise<LockedRun> {
  // NO KEY: rows that only name the run (a charge of its teacher) are written meanwhile.
  const [run] = await tx.$queryRaw<{ id: string; state: string; now: Date }[]>`SELECT id, state, clock_timestamp() AS now FROM run WHERE id = ${runIdOf(subject)} FOR NO KEY UPDATE`;
  if (run === undefined) refuse();
  if (!isRunState(run.state)) throw new TypeError(`column run.state holds ${JSON.stringify(run.state)}; it must be one of ${Object.keys(runTransitions).join(', ')}`);
  return { id: run.id as RunId, state: run.state, now: run.now };
}

/** To which run something belongs never changes, so it may be read before the lock. */
function runIdOf(subject: Subject): Prisma.Sql {
  if ('run' in subject) return Prisma.sql`${subject.run}`;
  if ('step' in subject) return Prisma.sql`(SELECT run_id FROM step WHERE id = ${subject.step})`;
  if ('task' in subject) return Prisma.sql`(SELECT run_id FROM task WHERE id = ${subject.task})`;
  return Prisma.sql`(SELECT run_id FROM attempt WHERE id = ${subject.attempt})`;
}

const isRunState = (state: string): state is RunState => Object.hasOwn(runTransitions, state);
