/** Equal tasks of several runs: one works, the others wait, and every end of the work wakes them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AttemptId, RunId, TaskId } from '@sgpo/core';
import { createClient } from './client.ts';
import { lockKey } from './shared-work.ts';
import { failure, newKey, openTestBed, pendingTask, resultOf, runningAttempt, startedRun, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());
beforeEach(() => bed.sql('DELETE FROM outbox'));

interface Member { readonly runId: RunId; readonly taskId: TaskId }

async function member(key = 'train', index = 0): Promise<Member> {
  const runId = await startedRun(bed);
  return { runId, taskId: await pendingTask(bed, runId, key, index) };
}
const ready = (taskId: TaskId, cacheKey: string, share = true) => bed.database.tasks.markReady(taskId, { cacheKey, spec: {}, inputs: [], share });
const isAtWork = async (cacheKey: string): Promise<boolean> => (await bed.database.tasks.atWork([newKey(), cacheKey])).has(cacheKey);
const told = async (): Promise<string[]> => {
  const rows = await bed.sql<{ run: string }>('SELECT payload->>\'runId\' AS run FROM outbox WHERE queue = \'advance\' ORDER BY 1');
  await bed.sql('DELETE FROM outbox');
  return rows.map((row) => row.run);
};

interface Work { readonly key: string; readonly worker: Member; readonly attempt: AttemptId; readonly waiting: readonly Member[] }

/** A worker task under way, and two runs that wait for it. */
async function sharedWork(): Promise<Work> {
  const key = newKey();
  const [worker, ...waiting] = [await member(), await member(), await member()];
  expect(await ready(worker!.taskId, key)).toBe('ready');
  const attempt = await runningAttempt(bed, worker!.taskId);
  for (const { taskId } of waiting) expect(await ready(taskId, key)).toBe('waits');
  await bed.sql('DELETE FROM outbox');
  return { key, worker: worker!, attempt, waiting };
}

describe('deciding', () => {
  test('of twenty equal tasks that become ready at once one works and nineteen wait, pending, with the key', async () => {
    const key = newKey();
    const members = await Promise.all(Array.from({ length: 20 }, () => member()));
    const answers = await Promise.all(members.map(({ taskId }) => ready(taskId, key)));
    expect(answers.filter((answer) => answer === 'ready')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'waits')).toHaveLength(19);
    const tasks = await Promise.all(members.map(({ taskId }) => bed.database.tasks.get(taskId)));
    for (const [index, task] of tasks.entries()) expect(task).toMatchObject({ cacheKey: key, state: answers[index] === 'ready' ? 'ready' : 'pending' });
    expect(await isAtWork(key)).toBe(true);
    expect(await isAtWork(newKey())).toBe(false);
  });

  test('many keys in many runs at once: one of each works', async () => {
    const keys = [newKey(), newKey(), newKey()];
    const runs = await Promise.all(Array.from({ length: 6 }, () => startedRun(bed)));
    const tasks = await Promise.all(runs.map(async (runId) => ({ rows: await pendingTask(bed, runId, 'rows'), model: await pendingTask(bed, runId, 'model'), train: await pendingTask(bed, runId, 'train') })));
    const answers = await Promise.all(tasks.flatMap(({ rows, model, train }) => [ready(rows, keys[0]!), ready(model, keys[1]!), ready(train, keys[2]!)]));
    expect(answers.filter((answer) => answer === 'ready')).toHaveLength(3);
  });

  test('a task that shares nothing works beside its equal, and others wait for it', async () => {
    const key = newKey();
    const [one, alone, late] = [await member(), await member(), await member()];
    expect(await ready(one.taskId, key)).toBe('ready');
    expect(await ready(alone.taskId, key, false)).toBe('ready');
    expect(await ready(late.taskId, key)).toBe('waits');
    expect(await bed.database.tasks.get(late.taskId)).toMatchObject({ state: 'pending', cacheKey: key });
  });

  test('nobody waits for a task of a run that does not run', async () => {
    const key = newKey();
    const [paused, next] = [await member(), await member()];
    await ready(paused.taskId, key);
    await bed.database.runs.pause(paused.runId, 'budget');
    expect(await isAtWork(key)).toBe(false);
    expect(await ready(next.taskId, key)).toBe('ready');
    expect(await isAtWork(key)).toBe(true);
  });

  test('a task that is not pending any more is stale, with and without an equal one', async () => {
    const key = newKey();
    const [one, other] = [await member(), await member()];
    await bed.sql('UPDATE task SET state = \'canceled\' WHERE id = $1', [one.taskId]);
    expect(await ready(one.taskId, key)).toBe('stale');
    await ready(other.taskId, key);
    expect(await ready(one.taskId, key)).toBe('stale');
    expect(await ready(other.taskId, key)).toBe('stale');
    expect(await bed.database.tasks.get(one.taskId)).toMatchObject({ cacheKey: null });
  });

  test('inputs are recorded when the task becomes ready, not when it waits', async () => {
    const { key, waiting: [late], attempt } = await sharedWork();
    const { output } = resultOf();
    const input = { cacheKey: key, spec: {}, inputs: [{ role: 'requests', digest: output.digest, artifact: output }], share: true };
    expect(await bed.database.tasks.markReady(late!.taskId, input)).toBe('waits');
    expect(await bed.database.artifacts.get(output.digest)).toBeNull();
    await bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'fail' } });
    expect(await bed.database.tasks.markReady(late!.taskId, input)).toBe('ready');
    expect((await bed.database.artifacts.get(output.digest))?.digest).toBe(output.digest);
  });

  test('an equal task that ended meanwhile is looked at before the work is done again, once', async () => {
    const key = newKey();
    const [first, second] = [await member(), await member()];
    await ready(first.taskId, key);
    await bed.database.attempts.succeed(await runningAttempt(bed, first.taskId), resultOf());
    await told();
    expect(await ready(second.taskId, key)).toBe('waits');
    expect(await told()).toEqual([second.runId]);
    expect(await ready(second.taskId, key)).toBe('ready');
    await bed.database.attempts.succeed(await runningAttempt(bed, second.taskId), resultOf());
    const third = await member();
    expect(await ready(third.taskId, key)).toBe('waits');
    expect(await bed.database.tasks.markCached(third.taskId, { cacheKey: key, from: second.taskId })).toBe(true);
  });
});

describe('waking', () => {
  const runsOf = (members: readonly Member[]) => members.map(({ runId }) => runId).toSorted();

  test.each([
    ['succeeds', ({ attempt }: Work) => bed.database.attempts.succeed(attempt, resultOf()), true, false],
    ['fails', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'fail' } }), true, false],
    ['is canceled', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'canceled', failure: null, next: { kind: 'cancel' } }), true, false],
    ['meets the end of its budget', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'pause', reason: 'budget' } }), true, false],
    ['is in a run that is canceled', ({ worker }: Work) => bed.database.runs.requestCancel(worker.runId), true, false],
    ['is in a run that fails', ({ worker }: Work) => bed.database.runs.fail(worker.runId, failure), false, false],
    ['is in a run that pauses', ({ worker }: Work) => bed.database.runs.pause(worker.runId, 'budget'), false, true],
  ] as const)('every run that waits advances, once, when the task %s', async (_, act, own, runsOn) => {
    const work = await sharedWork();
    expect(await act(work)).toBe(true);
    expect(await told()).toEqual([...runsOf(work.waiting), ...(own ? [work.worker.runId] : [])].toSorted());
    // What runs in a run that pauses goes on to its end.
    expect(await isAtWork(work.key)).toBe(runsOn);
  });

  test.each([
    ['succeeds', ({ attempt }: Work) => bed.database.attempts.succeed(attempt, resultOf())],
    ['is to be tried again', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } })],
    ['meets the end of its budget too', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'pause', reason: 'budget' } })],
  ] as const)('a task that runs on in a paused run is waited for, until it %s', async (_, act) => {
    const work = await sharedWork();
    await bed.database.runs.pause(work.worker.runId, 'budget');
    const late = await member();
    expect(await ready(late.taskId, work.key)).toBe('waits');
    await told();
    expect(await act(work)).toBe(true);
    expect(await told()).toEqual(expect.arrayContaining(runsOf([...work.waiting, late])));
    expect(await isAtWork(work.key)).toBe(false);
  });

  test('a retry goes on waiting', async () => {
    const { key, attempt, worker } = await sharedWork();
    await bed.database.attempts.end(attempt, { state: 'lost', failure, next: { kind: 'retry', delayMs: 60_000 } });
    expect(await told()).toEqual([worker.runId]);
    expect(await isAtWork(key)).toBe(true);
  });

  test('of two tasks of one run that wait, and of runs that stopped waiting, nothing is told twice or in vain', async () => {
    const key = newKey();
    const [worker, twice, stopped, paused] = [await member('answers'), await member('answers', 0), await member(), await member()];
    const second = await pendingTask(bed, twice.runId, 'answers', 1);
    await ready(worker.taskId, key);
    for (const taskId of [twice.taskId, second, stopped.taskId, paused.taskId]) expect(await ready(taskId, key)).toBe('waits');
    await bed.database.runs.requestCancel(stopped.runId);
    await bed.database.runs.pause(paused.runId, 'budget');
    await told();
    await bed.database.attempts.succeed(await runningAttempt(bed, worker.taskId), resultOf());
    expect(await told()).toEqual([twice.runId, worker.runId].toSorted());
  });

  test('a run that waits takes the work over when the one at work fails, and the others wait for it', async () => {
    const { key, attempt, waiting: [heir, other] } = await sharedWork();
    await bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'fail' } });
    const answers = await Promise.all([ready(heir!.taskId, key), ready(other!.taskId, key)]);
    expect(answers.toSorted()).toEqual(['ready', 'waits']);
  });

  test.each([
    ['succeeds', ({ attempt }: Work) => bed.database.attempts.succeed(attempt, resultOf())],
    ['fails', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'fail' } })],
    ['meets the end of its budget', ({ attempt }: Work) => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'pause', reason: 'budget' } })],
    ['is in a run that is canceled', ({ worker }: Work) => bed.database.runs.requestCancel(worker.runId)],
    ['is in a run that fails', ({ worker }: Work) => bed.database.runs.fail(worker.runId, failure)],
    ['is in a run that pauses', ({ worker }: Work) => bed.database.runs.pause(worker.runId, 'budget')],
  ] as const)('a decision to wait that is not committed yet when the task %s is told of it', async (_, act) => {
    const work = await sharedWork();
    const late = await member();
    await bed.sql('DELETE FROM outbox');
    const client = createClient(bed.url, 1);
    const stopping = await client.$transaction(async (tx) => {
      await lockKey(tx, work.key);
      await tx.task.update({ where: { id: late.taskId }, data: { cacheKey: work.key } });
      const stopped = act(work);
      await new Promise((later) => { setTimeout(later, 100); });
      return { stopped };
    });
    await client.$disconnect();
    expect(await stopping.stopped).toBe(true);
    expect(await told()).toEqual(expect.arrayContaining(runsOf([...work.waiting, late])));
  });

  test('whoever decides while the work ends or its run stops either sees that, or is told', async () => {
    for (let round = 0; round < 12; round += 1) {
      const key = newKey();
      const worker = await member();
      const late = await Promise.all(Array.from({ length: 4 }, () => member()));
      await ready(worker.taskId, key);
      const attempt = await runningAttempt(bed, worker.taskId);
      await bed.sql('DELETE FROM outbox');
      const stop = [
        () => bed.database.attempts.succeed(attempt, resultOf()), () => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'pause', reason: 'budget' } }), () => bed.database.runs.requestCancel(worker.runId),
        () => bed.database.attempts.end(attempt, { state: 'failed', failure, next: { kind: 'fail' } }),
      ][round % 4]!;
      const [, ...answers] = await Promise.all([stop(), ...late.map(({ taskId }) => ready(taskId, key))]);
      const advanced = await told();
      const works = answers.filter((answer) => answer === 'ready').length;
      expect(works).toBeLessThanOrEqual(1);
      // With nobody at work, everybody who waits has a job that makes them look again.
      if (works === 0) expect(advanced).toEqual(expect.arrayContaining(late.map(({ runId }) => runId)));
    }
  });
});
