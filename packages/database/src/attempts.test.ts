import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AttemptId, Digest, RunId, TaskId } from '@sgpo/core';
import {
  addWorker, claimedAttempt, failure, newDigest, openTestBed, readyTask, resultOf, runningAttempt, shards, startedRun, stepOf, treeOf, type TestBed,
} from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

const jobs = (field: string, id: string) => bed.sql<{ queue: string; due: boolean }>('SELECT queue, due_at <= now() AS due FROM outbox WHERE payload->>$1 = $2 ORDER BY id', [field, id]);
const clearJobs = () => bed.sql('DELETE FROM outbox');
const leasesOf = (workerId: string) => bed.sql<{ slot: number; attempt_id: string }>('SELECT slot, attempt_id FROM lease WHERE worker_id = $1', [workerId]);

/** A run whose sharded step has `count` ready tasks. */
async function readyShards(count: number): Promise<{ runId: RunId; tasks: TaskId[] }> {
  const runId = await startedRun(bed);
  await bed.database.steps.expand((await stepOf(bed, runId, 'answers')).id, Array.from({ length: count }, (_, index) => ({ ...shards[0]!, index })));
  const tasks: TaskId[] = [];
  for (let index = 0; index < count; index += 1) tasks.push(await readyTask(bed, runId, 'answers', index));
  return { runId, tasks };
}

describe('claims', () => {
  test('of one slot by twenty tasks at once: one gets it, the others stay ready', async () => {
    const { tasks, runId } = await readyShards(20);
    const workerId = await addWorker(bed, 'w-race-slot', 1);
    const claims = await Promise.all(tasks.map((taskId) => bed.database.attempts.claim({ taskId, workerId, slot: 0, leaseMs: 30_000 })));
    const [won] = claims.filter((id) => id !== null);
    expect(claims.filter((id) => id !== null)).toHaveLength(1);
    expect(await leasesOf(workerId)).toEqual([{ slot: 0, attempt_id: won }]);
    const states = (await stepOf(bed, runId, 'answers')).tasks.map((task) => `${task.state} ${String(task.attempts)}`);
    expect(states.filter((state) => state === 'ready 0')).toHaveLength(19);
    expect(await bed.sql('SELECT 1 FROM attempt WHERE run_id = $1', [runId])).toHaveLength(1);
  });

  test('of slots by tasks of many runs at once: each slot is given once', async () => {
    const workerId = await addWorker(bed, 'w-many-runs', 3);
    const runs = await Promise.all(Array.from({ length: 10 }, () => readyShards(1)));
    const claims = await Promise.all(runs.map(({ tasks }, index) => bed.database.attempts.claim({ taskId: tasks[0]!, workerId, slot: index % 3, leaseMs: 30_000 })));
    expect(claims.filter((id) => id !== null)).toHaveLength(3);
    expect((await leasesOf(workerId)).map((lease) => lease.slot).toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
  });

  test('of one task by twenty claimers at once, on slots of their own: one gets it', async () => {
    const { tasks: [taskId] } = await readyShards(1);
    const workerId = await addWorker(bed, 'w-race-task', 20);
    const claims = await Promise.all(Array.from({ length: 20 }, (_, slot) => bed.database.attempts.claim({ taskId: taskId!, workerId, slot, leaseMs: 30_000 })));
    expect(claims.filter((id) => id !== null)).toHaveLength(1);
    expect(await leasesOf(workerId)).toHaveLength(1);
  });

  test('give a leased attempt with its number, a lease, a follow job and an event', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const id = await claimedAttempt(bed, taskId!);
    const attempt = await bed.database.attempts.get(id);
    expect(attempt).toMatchObject({ state: 'leased', number: 1, taskId, runId, cancelWanted: false, eventsSeen: 0, startedAt: null, workerId: `worker-${taskId!}` });
    expect(await jobs('attemptId', id)).toEqual([{ queue: 'follow', due: true }]);
    expect((await bed.database.events.after(runId, 0, 100)).at(-1)).toMatchObject({ type: 'task.state', taskId, stepKey: 'answers', data: { state: 'running', attempt: 1, workerId: `worker-${taskId!}` } });
    expect(await bed.database.attempts.ofRun(runId)).toEqual([attempt]);
  });

  test('have rising fences, over tasks and workers', async () => {
    const { tasks } = await readyShards(3);
    const fences: bigint[] = [];
    for (const taskId of tasks) fences.push((await bed.database.attempts.get(await claimedAttempt(bed, taskId)))!.fence);
    expect(fences).toEqual(fences.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(new Set(fences).size).toBe(3);
  });

  test('are refused on a slot the worker has not, on a draining worker, on an unknown one, for a local task, and in a run that ended', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const workerId = await addWorker(bed, 'w-one', 1);
    const claim = (input: Partial<Parameters<TestBed['database']['attempts']['claim']>[0]>) => bed.database.attempts.claim({ taskId: taskId!, workerId, slot: 0, leaseMs: 1_000, ...input });
    expect(await claim({ slot: 1 })).toBeNull();
    expect(await claim({ slot: -1 })).toBeNull();
    expect(await claim({ workerId: await addWorker(bed, 'w-draining', 1, true) })).toBeNull();
    expect(await claim({ workerId: 'nobody' as never })).toBeNull();
    expect(await claim({ taskId: 'nothing' as TaskId })).toBeNull();
    expect(await claim({ taskId: await readyTask(bed, runId, 'rows') })).toBeNull();
    await bed.sql('UPDATE run SET state = \'canceling\' WHERE id = $1', [runId]);
    expect(await claim({})).toBeNull();
    expect(await bed.database.attempts.claimLocal({ taskId: await readyTask(bed, runId, 'rows'), holder: 'me', holdMs: 1_000 })).toBeNull();
    expect(await leasesOf(workerId)).toEqual([]);
  });

  test('of a local task: twenty at once, one gets a running attempt', async () => {
    const runId = await startedRun(bed);
    const taskId = await readyTask(bed, runId, 'model');
    expect((await jobs('taskId', taskId))).toEqual([{ queue: 'local', due: true }]);
    const claims = await Promise.all(Array.from({ length: 20 }, (_, n) => bed.database.attempts.claimLocal({ taskId, holder: `p${String(n)}`, holdMs: 10_000 })));
    expect(claims.filter((attempt) => attempt !== null)).toMatchObject([{ state: 'running', number: 1, workerId: null }]);
  });
});

describe('placement', () => {
  test('sees ready worker tasks of running runs with their model, and free slots of live workers', async () => {
    const model = newDigest();
    const runId = await startedRun(bed);
    const taskId = await readyTask(bed, runId, 'answers', 1, model);
    const stopped = await startedRun(bed);
    await readyTask(bed, stopped, 'answers');
    await bed.sql('UPDATE run SET state = \'canceling\' WHERE id = $1', [stopped]);
    const busy = await addWorker(bed, 'w-busy', 2);
    const other = await readyTask(bed, runId, 'answers', 0);
    await bed.database.attempts.claim({ taskId: other, workerId: busy, slot: 0, leaseMs: 30_000 });
    await addWorker(bed, 'w-gone', 2);
    await bed.sql('UPDATE worker SET last_seen_at = now() - interval \'1 minute\' WHERE id = $1', ['w-gone']);
    await addWorker(bed, 'w-leaving', 2, true);
    const { tasks, workers } = await bed.database.attempts.placeable(10_000);
    expect(tasks.filter((task) => task.runId === runId)).toEqual([{ id: taskId, runId, model, position: 2, index: 1, createdAt: expect.any(Date), preview: false }]);
    expect(tasks.filter((task) => task.runId === stopped)).toEqual([]);
    expect(workers.find((worker) => worker.id === busy)).toEqual({ id: busy, warmModel: null, freeSlots: [1] });
    expect(workers.map((worker) => worker.id)).not.toContain('w-gone');
    expect(workers.map((worker) => worker.id)).not.toContain('w-leaving');
  });
});

describe('holds', () => {
  test('one of twenty takers gets an attempt; the others when it is released or run out', async () => {
    const id = await claimedAttempt(bed, (await readyShards(1)).tasks[0]!);
    await clearJobs();
    const takes = await Promise.all(Array.from({ length: 20 }, (_, n) => bed.database.attempts.take({ id, holder: `p${String(n)}`, holdMs: 10_000 })));
    const holder = `p${String(takes.findIndex((attempt) => attempt !== null))}`;
    expect(takes.filter((attempt) => attempt !== null)).toHaveLength(1);
    expect(await bed.database.attempts.take({ id, holder, holdMs: 10_000 })).toMatchObject({ id });
    expect(await bed.database.attempts.take({ id, holder: 'late', holdMs: 10_000 })).toBeNull();
    await bed.database.attempts.release({ id, holder: 'somebody else' });
    expect(await jobs('attemptId', id)).toEqual([]);
    await bed.database.attempts.release({ id, holder });
    expect(await jobs('attemptId', id)).toEqual([{ queue: 'follow', due: true }]);
    expect(await bed.database.attempts.take({ id, holder: 'late', holdMs: -1 })).toMatchObject({ id });
    expect(await bed.database.attempts.take({ id, holder: 'later', holdMs: 10_000 })).toMatchObject({ id });
    expect(await bed.database.attempts.renew({ id, holder: 'late', holdMs: 10_000, leaseMs: null })).toBeNull();
  });

  test('renewing extends the hold and the lease, and tells of a wish to cancel', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const id = await claimedAttempt(bed, taskId!);
    await bed.database.attempts.take({ id, holder: 'me', holdMs: 1 });
    const expiry = async () => (await bed.sql<{ held_until: Date; expires_at: Date }>('SELECT held_until, expires_at FROM attempt JOIN lease ON attempt_id = id WHERE id = $1', [id]))[0]!;
    const before = await expiry();
    expect(await bed.database.attempts.renew({ id, holder: 'me', holdMs: 60_000, leaseMs: 90_000 })).toEqual({ cancelWanted: false });
    const after = await expiry();
    expect(after.held_until.getTime()).toBeGreaterThan(before.held_until.getTime() + 50_000);
    expect(after.expires_at.getTime()).toBeGreaterThan(before.expires_at.getTime() + 50_000);
    await bed.database.attempts.renew({ id, holder: 'me', holdMs: 60_000, leaseMs: null });
    expect((await expiry()).expires_at).toEqual(after.expires_at);
    await bed.database.runs.requestCancel(runId);
    expect(await bed.database.attempts.renew({ id, holder: 'me', holdMs: 60_000, leaseMs: null })).toEqual({ cancelWanted: true });
    await bed.database.attempts.end(id, { state: 'canceled', failure: null, next: { kind: 'cancel' } });
    expect(await bed.database.attempts.renew({ id, holder: 'me', holdMs: 60_000, leaseMs: null })).toBeNull();
    expect(await bed.database.attempts.take({ id, holder: 'me', holdMs: 60_000 })).toBeNull();
  });

  test('local attempts are neither taken nor released', async () => {
    const taskId = await readyTask(bed, await startedRun(bed), 'model');
    const { id } = (await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 }))!;
    expect(await bed.database.attempts.take({ id, holder: 'me', holdMs: 10_000 })).toBeNull();
    await bed.database.attempts.release({ id, holder: 'me' });
    expect(await bed.database.attempts.renew({ id, holder: 'me', holdMs: 10_000, leaseMs: null })).toEqual({ cancelWanted: false });
  });
});

describe('ends', () => {
  test('a success writes everything at once, and only once', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const id = await runningAttempt(bed, taskId!);
    await clearJobs();
    const result = resultOf();
    const answers = await Promise.all(Array.from({ length: 8 }, () => bed.database.attempts.succeed(id, result)));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect(await bed.database.tasks.get(taskId!)).toMatchObject({
      state: 'succeeded', output: result.output.digest, rowsIn: 8, rowsOut: 7, dropped: { empty: 1 }, stats: { mean: 1.5 }, rowsDone: 8, failure: null,
    });
    expect(await bed.database.attempts.get(id)).toMatchObject({ state: 'succeeded', provenance: { engine: 'test' }, endedAt: expect.any(Date) });
    expect(await bed.database.artifacts.get(result.output.digest)).toEqual({ ...result.output, createdAt: expect.any(Date) });
    expect(await leasesOf(`worker-${taskId!}`)).toEqual([]);
    expect((await bed.sql<{ queue: string }>('SELECT queue FROM outbox ORDER BY queue')).map((row) => row.queue)).toEqual(['advance', 'place']);
    expect((await treeOf(bed, runId)).run.tasksDone).toBe(1);
  });

  test('a success whose rows do not add up, or that cannot be written, leaves nothing', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const id = await runningAttempt(bed, taskId!);
    const before = await bed.sql('SELECT event_sequence, tasks_done, updated_at, (SELECT count(*) FROM outbox) AS jobs FROM run WHERE id = $1', [runId]);
    const result = resultOf();
    await expect(bed.database.attempts.succeed(id, { ...result, rowsOut: 8 })).rejects.toThrow('rows do not add up');
    await expect(bed.database.attempts.succeed(id, { ...result, rowsIn: 1e12, rowsOut: 1e12 - 1 })).rejects.toThrow();
    expect(await bed.database.artifacts.get(result.output.digest)).toBeNull();
    expect(await bed.database.attempts.get(id)).toMatchObject({ state: 'running' });
    expect(await leasesOf(`worker-${taskId!}`)).toHaveLength(1);
    expect(await bed.sql('SELECT event_sequence, tasks_done, updated_at, (SELECT count(*) FROM outbox) AS jobs FROM run WHERE id = $1', [runId])).toEqual(before);
  });

  test('a retry waits until it is due, with a new number and a higher fence', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const first = await runningAttempt(bed, taskId!);
    await clearJobs();
    expect(await bed.database.attempts.end(first, { state: 'lost', failure, next: { kind: 'retry', delayMs: 60_000 } })).toBe(true);
    expect(await bed.database.attempts.get(first)).toMatchObject({ state: 'lost', failure });
    expect(await bed.database.tasks.get(taskId!)).toMatchObject({ state: 'ready', attempts: 1, failure: null, notBefore: expect.any(Date) });
    expect(await bed.sql('SELECT queue, due_at <= now() AS due FROM outbox ORDER BY queue, due_at')).toEqual([{ queue: 'advance', due: true }, { queue: 'place', due: true }, { queue: 'place', due: false }]);
    expect((await bed.database.attempts.placeable(10_000)).tasks.filter((task) => task.runId === runId)).toEqual([]);
    const workerId = await addWorker(bed, 'w-retry', 1);
    const claim = () => bed.database.attempts.claim({ taskId: taskId!, workerId, slot: 0, leaseMs: 1_000 });
    expect(await claim()).toBeNull();
    await bed.sql('UPDATE task SET not_before = now() WHERE id = $1', [taskId]);
    const second = await bed.database.attempts.get((await claim())!);
    expect(second).toMatchObject({ number: 2 });
    expect(second!.fence).toBeGreaterThan((await bed.database.attempts.get(first))!.fence);
  });

  test('a local retry is asked for when it is due', async () => {
    const taskId = await readyTask(bed, await startedRun(bed), 'model');
    const { id } = (await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 }))!;
    await clearJobs();
    await bed.database.attempts.end(id, { state: 'failed', failure, next: { kind: 'retry', delayMs: 60_000 } });
    expect(await jobs('taskId', taskId)).toEqual([{ queue: 'local', due: false }]);
    expect(await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 })).toBeNull();
  });

  test('a failure is kept with attempt and task, and told in the event', async () => {
    const { tasks: [taskId], runId } = await readyShards(1);
    const id = await claimedAttempt(bed, taskId!);
    await bed.database.attempts.end(id, { state: 'failed', failure, next: { kind: 'fail' } });
    expect(await bed.database.tasks.get(taskId!)).toMatchObject({ state: 'failed', failure });
    expect((await bed.database.events.after(runId, 0, 100)).at(-1)).toMatchObject({ data: { state: 'failed', attempt: 1, code: 'WORKER.FAILED' } });
  });
});

describe('forgotten', () => {
  test('finds ready local tasks, attempts nobody holds and local attempts whose holder is gone, and nothing that is in good hands', async () => {
    const runId = await startedRun(bed);
    const fresh = await readyTask(bed, runId, 'model');
    const old = await readyTask(bed, runId, 'rows');
    await bed.sql('UPDATE task SET ready_at = now() - interval \'1 hour\' WHERE id = $1', [old]);
    const unheld = await claimedAttempt(bed, await readyTask(bed, runId, 'answers', 0));
    const held = await claimedAttempt(bed, await readyTask(bed, runId, 'answers', 1));
    await bed.database.attempts.take({ id: held, holder: 'me', holdMs: 60_000 });
    const other = await startedRun(bed);
    const holderGone = (await bed.database.attempts.claimLocal({ taskId: await readyTask(bed, other, 'model'), holder: 'gone', holdMs: -1 }))!.id;
    const holderThere = (await bed.database.attempts.claimLocal({ taskId: await readyTask(bed, other, 'rows'), holder: 'me', holdMs: 60_000 }))!.id;

    const found = await bed.database.attempts.forgotten({ readyForMs: 5_000 });
    expect(found.localTasks).toContain(old);
    expect(found.localTasks).not.toContain(fresh);
    expect(found.unheldAttempts).not.toContain(unheld);
    expect(found.unheldAttempts).not.toContain(held);
    expect(found.lostLocalAttempts).toContain(holderGone);
    expect(found.lostLocalAttempts).not.toContain(holderThere);
    await bed.sql('UPDATE attempt SET created_at = now() - interval \'1 hour\' WHERE id = $1', [unheld]);
    await bed.sql('UPDATE attempt SET held_until = now() - interval \'1 second\' WHERE id = $1', [held]);
    const later = await bed.database.attempts.forgotten({ readyForMs: 5_000 });
    expect(later.unheldAttempts).toEqual(expect.arrayContaining([unheld, held]));
    await readyTask(bed, await startedRun(bed), 'train');
    expect((await bed.database.attempts.forgotten({ readyForMs: 5_000 })).readyWorkerTasks).toBe(later.readyWorkerTasks + 1);
  });
});

describe('reports', () => {
  const pointsOf = async (runId: RunId) => bed.database.metrics.ofRun(runId);

  test('are taken over once, whatever comes twice', async () => {
    const runId = await startedRun(bed);
    const taskId = await readyTask(bed, runId, 'train');
    const id = await runningAttempt(bed, taskId);
    const batch = {
      lastSequence: 5, progress: { done: 3, total: 9, unit: 'steps' as const }, metrics: [{ step: 1, values: { loss: 0.5, lr: 1e-6 } }, { step: 2, values: { loss: 0.25 } }],
      events: [{ type: 'task.phase' as const, data: { phase: 'training' } }, { type: 'task.log' as const, data: { message: 'NUL \0 and half \ud800' } }],
    };
    await Promise.all(Array.from({ length: 6 }, () => bed.database.attempts.report(id, batch)));
    await bed.database.attempts.report(id, { lastSequence: 4, progress: { done: 1, total: 9, unit: 'steps' } });
    expect((await bed.database.attempts.get(id))?.eventsSeen).toBe(5);
    expect(await bed.database.tasks.get(taskId)).toMatchObject({ rowsDone: 3, rowsTotal: 9, unit: 'steps' });
    const told = (await bed.database.events.after(runId, 0, 1000)).filter((event) => event.type === 'task.phase' || event.type === 'task.log');
    expect(told).toMatchObject([
      { type: 'task.phase', stepKey: 'train', taskId, data: { phase: 'training', attempt: 1 } }, { type: 'task.log', data: { message: 'NUL \uFFFD and half \uFFFD' } },
    ]);
    expect(await pointsOf(runId)).toEqual([
      { stepKey: 'train', name: 'loss', step: 1, value: 0.5 }, { stepKey: 'train', name: 'loss', step: 2, value: 0.25 }, { stepKey: 'train', name: 'lr', step: 1, value: 1e-6 },
    ]);
  });

  test('of a local step count every time; a point that comes again is the newer one; one that is no number becomes a log event', async () => {
    const runId = await startedRun(bed);
    const { id } = (await bed.database.attempts.claimLocal({ taskId: await readyTask(bed, runId, 'rows'), holder: 'me', holdMs: 10_000 }))!;
    for (const value of [1, 2]) await bed.database.attempts.report(id, { lastSequence: 0, metrics: [{ step: 1, values: { rows: value } }], progress: { done: value, total: 2, unit: 'rows' } });
    await bed.database.attempts.report(id, { lastSequence: 0, metrics: [{ step: 2, values: { rows: Number.NaN, other: Infinity } }] });
    expect(await pointsOf(runId)).toEqual([{ stepKey: 'rows', name: 'rows', step: 1, value: 2 }]);
    expect((await bed.database.events.after(runId, 0, 1000)).filter((event) => event.type === 'task.log').map((event) => event.data['message'])).toEqual(['rows is NaN at step 2', 'other is Infinity at step 2']);
  });

  test('of an attempt that has ended are left alone', async () => {
    const taskId = await readyTask(bed, await startedRun(bed), 'train');
    const id = await runningAttempt(bed, taskId);
    await bed.database.attempts.end(id, { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } });
    await bed.database.attempts.report(id, { lastSequence: 9, progress: { done: 7, total: 9, unit: 'steps' } });
    expect(await bed.database.tasks.get(taskId)).toMatchObject({ rowsDone: 0 });
    await bed.database.attempts.report('nothing' as AttemptId, { lastSequence: 1 });
  });
});

test('a cached task takes over what the finished one has, and names the one that was run', async () => {
  const first = await startedRun(bed);
  const ran = await readyTask(bed, first, 'train');
  const attempt = await runningAttempt(bed, ran);
  await bed.database.attempts.report(attempt, { lastSequence: 1, metrics: [{ step: 1, values: { loss: 0.5 } }] });
  const result = resultOf(newDigest(), 'model');
  await bed.database.attempts.succeed(attempt, result);
  const { cacheKey } = (await bed.database.tasks.get(ran))!;
  expect((await bed.database.tasks.findEqual(cacheKey!))?.id).toBe(ran);
  expect(await bed.database.tasks.findEqual('0'.repeat(64))).toBeNull();

  const teamId = await bed.database.tokens.ensureTeam('reuser');
  const chain: TaskId[] = [ran];
  for (let n = 0; n < 2; n += 1) {
    const runId = await startedRun(bed);
    await bed.sql('UPDATE run SET team_id = $2 WHERE id = $1', [runId, teamId]);
    const step = await stepOf(bed, runId, 'train');
    const taskId = step.tasks[0]!.id;
    expect(await bed.database.tasks.markCached(taskId, { cacheKey: cacheKey!, from: chain.at(-1)! })).toBe(true);
    expect(await bed.database.tasks.get(taskId)).toMatchObject({ state: 'cached', reuses: ran, output: result.output.digest, rowsIn: 8, rowsOut: 7, stats: { mean: 1.5 } });
    await bed.database.steps.begin(step.id);
    expect(await bed.database.steps.finish(step.id, taskId)).toBe(true);
    expect(await stepOf(bed, runId, 'train')).toMatchObject({ state: 'cached', output: result.output.digest });
    expect((await treeOf(bed, runId)).run.tasksDone).toBe(1);
    expect(await bed.database.metrics.ofRun(runId)).toEqual([{ stepKey: 'train', name: 'loss', step: 1, value: 0.5 }]);
    expect(await bed.database.artifacts.lineageOfRun(runId)).toMatchObject([{ direction: 'out', digest: result.output.digest, taskId: ran, runId: first, attemptId: attempt }]);
    chain.push(taskId);
  }
  expect((await bed.database.artifacts.get(result.output.digest, teamId))?.digest).toBe(result.output.digest);
  expect(await bed.database.artifacts.get(result.output.digest, await bed.database.tokens.ensureTeam('stranger'))).toBeNull();
  await expect(bed.database.tasks.markCached((await stepOf(bed, await startedRun(bed), 'train')).tasks[0]!.id, { cacheKey: cacheKey!, from: 'nothing' as TaskId })).rejects.toThrow('only a finished task');
});

test('inputs become links: of artifacts a task made, and of those that come with their record; others are refused', async () => {
  const runId = await startedRun(bed);
  const made = resultOf();
  const modelTask = await readyTask(bed, runId, 'model');
  await bed.database.attempts.succeed((await bed.database.attempts.claimLocal({ taskId: modelTask, holder: 'me', holdMs: 10_000 }))!.id, made);
  const requests = resultOf().output;
  const step = await stepOf(bed, runId, 'answers');
  await bed.database.steps.expand(step.id, shards);
  const taskId = (await stepOf(bed, runId, 'answers')).tasks[0]!.id;
  const ready = (inputs: Parameters<TestBed['database']['tasks']['markReady']>[1]['inputs']) => bed.database.tasks.markReady(taskId, { cacheKey: 'e'.repeat(64), spec: {}, inputs, share: false });
  await expect(ready([{ role: 'model', digest: made.output.digest }, { role: 'requests', digest: 'd'.repeat(64) as Digest }])).rejects.toMatchObject({ code: 'ARTIFACT.NOT_FOUND', problems: [{ field: 'inputs.requests' }] });
  expect((await bed.database.tasks.get(taskId))?.state).toBe('pending');
  expect(await ready([{ role: 'model', digest: made.output.digest }, { role: 'requests', digest: requests.digest, artifact: requests }])).toBe('ready');
  const output = resultOf();
  const attempt = await runningAttempt(bed, taskId);
  await bed.database.attempts.succeed(attempt, output);
  const links = (await bed.database.artifacts.lineageOfRun(runId)).filter((link) => link.attemptId === attempt);
  expect(links).toEqual([
    { direction: 'in', role: 'model', digest: made.output.digest }, { direction: 'in', role: 'requests', digest: requests.digest }, { direction: 'out', role: 'output', digest: output.output.digest },
  ].map((link) => ({ ...link, kind: 'table', stepKey: 'answers', taskId, attemptId: attempt, runId })));
  expect((await bed.database.artifacts.get(requests.digest, bed.teamId))?.digest).toBe(requests.digest);
});
