/** A run that pauses: what runs goes on, nothing begins, and nothing is forgotten when it goes on. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunId } from '@sgpo/core';
import { addWorker, claimedAttempt, createRun, failure, openTestBed, pendingTask, readyTask, resultOf, runningAttempt, startedRun, teacher, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());
beforeEach(() => bed.sql('DELETE FROM outbox'));

const jobs = () => bed.sql<{ queue: string; due: boolean }>('SELECT queue, payload, due_at <= now() AS due FROM outbox ORDER BY queue, due_at');
const lastEvent = async (id: RunId) => (await bed.database.events.after(id, 0, 1000)).at(-1);
const budget = { tokens: 1_000, cost: 2.5 };

test('the budget is that of the spec, none without a teacher, and the new one after it was raised', async () => {
  expect((await createRun(bed)).budget).toEqual({ tokens: null, cost: null });
  expect((await createRun(bed, { teacher: null })).budget).toEqual({ tokens: null, cost: null });
  const id = await startedRun(bed, { teacher: { ...teacher, budget } });
  await bed.database.runs.pause(id, 'budget');
  await bed.database.runs.resume(id, null);
  expect((await bed.database.runs.get(id))?.budget).toEqual(budget);
  expect((await lastEvent(id))).toMatchObject({ type: 'run.resumed', data: { state: 'running' } });
  await bed.database.runs.pause(id, 'budget');
  await bed.database.runs.resume(id, { tokens: null, cost: 9 });
  expect((await bed.database.runs.get(id))).toMatchObject({ budget: { tokens: null, cost: 9 }, spec: { teacher: { budget } } });
  expect(await lastEvent(id)).toMatchObject({ type: 'run.resumed', data: { state: 'running', budget: { tokens: null, cost: 9 } } });
});

test('twenty pauses at once are one, with its reason; it leaves with the pause', async () => {
  const id = await startedRun(bed);
  const answers = await Promise.all(Array.from({ length: 20 }, () => bed.database.runs.pause(id, 'budget')));
  expect(answers.filter(Boolean)).toHaveLength(1);
  expect(await bed.database.runs.get(id)).toMatchObject({ state: 'paused', pauseReason: 'budget' });
  expect(await lastEvent(id)).toMatchObject({ type: 'run.paused', data: { state: 'paused', reason: 'budget' } });
  expect(await bed.database.runs.active()).not.toContain(id);
  const resumed = await Promise.all(Array.from({ length: 20 }, () => bed.database.runs.resume(id, null)));
  expect(resumed.filter(Boolean)).toHaveLength(1);
  expect(await bed.database.runs.get(id)).toMatchObject({ state: 'running', pauseReason: null });
  expect(await bed.database.runs.active()).toContain(id);
});

test.each([
  ['canceling', (id: RunId) => bed.database.runs.requestCancel(id)], ['failed', (id: RunId) => bed.database.runs.fail(id, failure)],
] as const)('a paused run that becomes %s has no reason to be paused any more', async (state, act) => {
  const id = await startedRun(bed);
  await readyTask(bed, id, 'rows');
  await bed.database.runs.pause(id, 'budget');
  expect(await act(id)).toBe(true);
  expect(await bed.database.runs.get(id)).toMatchObject({ state, pauseReason: null });
  if (state === 'canceling') expect(await bed.database.runs.finishCancel(id)).toBe(true);
  expect((await bed.database.runs.tree(id))?.steps.map((step) => step.state)).toEqual(['canceled', 'canceled', 'canceled', 'canceled']);
});

test('nothing of a paused run begins, is placed or is forgotten', async () => {
  const id = await startedRun(bed);
  const local = await readyTask(bed, id, 'rows');
  const remote = await readyTask(bed, id, 'answers');
  const workerId = await addWorker(bed, 'w-paused', 1);
  await bed.database.runs.pause(id, 'budget');
  await bed.sql('UPDATE task SET ready_at = now() - interval \'1 hour\' WHERE run_id = $1', [id]);
  const before = await bed.database.attempts.forgotten({ readyForMs: 0 });
  expect(before.localTasks).not.toContain(local);
  expect((await bed.database.attempts.placeable(60_000)).tasks.map((task) => task.id)).not.toContain(remote);
  expect(await bed.database.attempts.claimLocal({ taskId: local, holder: 'me', holdMs: 1_000 })).toBeNull();
  expect(await bed.database.attempts.claim({ taskId: remote, workerId, slot: 0, leaseMs: 1_000 })).toBeNull();
  await bed.database.runs.resume(id, null);
  expect((await bed.database.attempts.placeable(60_000)).tasks.map((task) => task.id)).toContain(remote);
  expect((await bed.database.attempts.forgotten({ readyForMs: 0 })).readyWorkerTasks).toBe(before.readyWorkerTasks + 1);
  expect(await bed.database.attempts.claimLocal({ taskId: local, holder: 'me', holdMs: 1_000 })).toMatchObject({ taskId: local });
  expect(await bed.database.attempts.claim({ taskId: remote, workerId, slot: 0, leaseMs: 1_000 })).not.toBeNull();
});

test('resuming asks for every ready task when it is due: one job for all of the workers\' that are', async () => {
  const id = await startedRun(bed);
  const local = await readyTask(bed, id, 'rows');
  const model = await readyTask(bed, id, 'model');
  await readyTask(bed, id, 'answers', 0);
  await readyTask(bed, id, 'answers', 1);
  await readyTask(bed, id, 'train');
  await bed.database.runs.pause(id, 'budget');
  await bed.sql('UPDATE task SET not_before = now() + interval \'1 hour\' WHERE id = $1 OR (run_id = $2 AND step_id IN (SELECT id FROM step WHERE key = \'train\'))', [model, id]);
  await bed.sql('DELETE FROM outbox');
  await bed.database.runs.resume(id, null);
  expect(await jobs()).toEqual([
    { queue: 'advance', payload: { runId: id }, due: true }, { queue: 'local', payload: { taskId: local }, due: true }, { queue: 'local', payload: { taskId: model }, due: false },
    { queue: 'place', payload: {}, due: true }, { queue: 'place', payload: {}, due: false },
  ]);
});

test('an attempt that meets the end of the budget gives its task back and pauses the run, in one; others of the run go on to their end', async () => {
  const id = await startedRun(bed);
  const taskId = await readyTask(bed, id, 'rows');
  const attempt = (await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 }))!;
  const other = await runningAttempt(bed, await readyTask(bed, id, 'answers', 0));
  const failing = await claimedAttempt(bed, await readyTask(bed, id, 'answers', 1));
  await bed.sql('DELETE FROM outbox');
  const spentOut = { code: 'TEACHER.BUDGET_REACHED', message: 'spent', remedy: 'raise it' };
  const ends = await Promise.all(Array.from({ length: 5 }, () => bed.database.attempts.end(attempt.id, { state: 'failed', failure: spentOut, next: { kind: 'pause', reason: 'budget' } })));
  expect(ends.filter(Boolean)).toHaveLength(1);
  expect(await bed.database.runs.get(id)).toMatchObject({ state: 'paused', pauseReason: 'budget' });
  expect(await bed.database.tasks.get(taskId)).toMatchObject({ state: 'ready', attempts: 1, failure: null });
  expect(await bed.database.attempts.get(attempt.id)).toMatchObject({ state: 'failed', failure: spentOut });
  expect((await jobs()).map((job) => job.queue)).toEqual(['advance']);

  expect(await bed.database.attempts.succeed(other, resultOf())).toBe(true);
  expect(await bed.database.attempts.end(failing, { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } })).toBe(true);
  expect((await bed.database.runs.tree(id))?.steps[2]?.tasks.map((task) => task.state)).toEqual(['succeeded', 'ready', 'pending']);
  expect((await jobs()).filter((job) => job.queue === 'local')).toEqual([]);
  await bed.database.runs.resume(id, budget);
  expect(await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 })).toMatchObject({ number: 2 });
  expect(await claimedAttempt(bed, (await bed.database.runs.tree(id))!.steps[2]!.tasks[1]!.id)).toMatch(/^att_/);
});

test('a task that became ready while its run was paused begins when it goes on', async () => {
  const id = await startedRun(bed);
  const taskId = await pendingTask(bed, id, 'rows');
  await bed.database.runs.pause(id, 'budget');
  await readyTask(bed, id, 'rows');
  expect(await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 1_000 })).toBeNull();
  await bed.sql('DELETE FROM outbox');
  await bed.database.runs.resume(id, null);
  expect((await jobs()).filter((job) => job.queue === 'local')).toMatchObject([{ payload: { taskId } }]);
});
