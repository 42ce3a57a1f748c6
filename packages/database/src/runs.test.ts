import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunId } from '@sgpo/core';
import { createRun, failure, newDigest, openTestBed, plan, readyTask, resultOf, runningAttempt, claimedAttempt, shards, spec, startedRun, stepOf, taskOf, treeOf, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

const keyed = (idempotencyKey: string, bodyHash = 'a'.repeat(64)) => ({ teamId: bed.teamId, spec, plan, idempotencyKey, bodyHash });

test('a new run has its steps, its whole tasks, its first event and an advance job', async () => {
  const run = await createRun(bed);
  const tree = await treeOf(bed, run.id);
  expect(tree.run).toEqual({ ...run, state: 'queued', tasksDone: 0, tasksTotal: 3, eventSequence: 1, spec });
  expect(tree.steps.map((step) => [step.key, step.state, step.position, step.tasks.map((task) => [task.role, task.location, task.state])])).toEqual([
    ['model', 'pending', 0, [['whole', 'local', 'pending']]], ['rows', 'pending', 1, [['whole', 'local', 'pending']]],
    ['answers', 'pending', 2, []], ['train', 'pending', 3, [['whole', 'worker', 'pending']]],
  ]);
  expect(await bed.database.events.after(run.id, 0, 10)).toMatchObject([{ sequence: 1, type: 'run.created', data: { state: 'queued', preset: 'sgpo' } }]);
  expect(await bed.sql('SELECT queue FROM outbox WHERE payload->>\'runId\' = $1', [run.id])).toEqual([{ queue: 'advance' }]);
});

test('fifty equal creates at once make one run', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => bed.database.runs.create(keyed('fifty'))));
  expect(new Set(answers.map((answer) => answer.run.id)).size).toBe(1);
  expect(answers.filter((answer) => answer.created)).toHaveLength(1);
  expect(await bed.sql('SELECT count(*)::int AS runs FROM run WHERE idempotency_key = $1', ['fifty'])).toEqual([{ runs: 1 }]);
});

test('a key with another body is refused, and is free for another team', async () => {
  const { run } = await bed.database.runs.create(keyed('conflict'));
  await expect(bed.database.runs.create(keyed('conflict', 'b'.repeat(64)))).rejects.toMatchObject({ code: 'RUN.IDEMPOTENCY_CONFLICT', message: expect.stringContaining(run.id) });
  const teamId = await bed.database.tokens.ensureTeam('other team');
  expect((await bed.database.runs.create({ ...keyed('conflict', 'b'.repeat(64)), teamId })).created).toBe(true);
});

test('a create that throws leaves nothing', async () => {
  const broken = { ...plan, steps: [...plan.steps, plan.steps[0]!] };
  await expect(bed.database.runs.create({ ...keyed('broken'), plan: broken })).rejects.toThrow();
  expect(await bed.sql('SELECT 1 FROM run WHERE idempotency_key = $1', ['broken'])).toEqual([]);
});

test('another team sees neither a run nor its tree nor its row in the list', async () => {
  const run = await createRun(bed);
  const other = await bed.database.tokens.ensureTeam('strangers');
  expect(await bed.database.runs.get(run.id, other)).toBeNull();
  expect(await bed.database.runs.tree(run.id, other)).toBeNull();
  expect(await bed.database.runs.list({ teamId: other, limit: 10, before: null, state: null })).toEqual([]);
  expect((await bed.database.runs.get(run.id, bed.teamId))?.id).toBe(run.id);
  expect(await bed.database.runs.get('run_\0nothing' as RunId)).toBeNull();
});

test('the list is newest first, in pages, filtered by state', async () => {
  const teamId = await bed.database.tokens.ensureTeam('lister');
  const ids: string[] = [];
  for (let n = 0; n < 5; n += 1) ids.unshift((await bed.database.runs.create({ teamId, spec, plan, idempotencyKey: null, bodyHash: null })).run.id);
  await bed.database.runs.start(ids[1] as RunId);
  const page = async (before: string | null, state: 'running' | null = null) => (await bed.database.runs.list({ teamId, limit: 2, before: before as RunId | null, state })).map((run) => run.id);
  expect(await page(null)).toEqual(ids.slice(0, 2));
  expect(await page(ids[1]!)).toEqual(ids.slice(2, 4));
  expect(await page(ids[3]!)).toEqual(ids.slice(4));
  expect(await page(null, 'running')).toEqual([ids[1]]);
});

test('a run goes from its first event to its last without a gap in their numbers', async () => {
  const id = await startedRun(bed);
  for (const key of ['model', 'rows'] as const) {
    const taskId = await readyTask(bed, id, key);
    const attempt = await bed.database.attempts.claimLocal({ taskId, holder: 'me', holdMs: 10_000 });
    expect(await bed.database.attempts.succeed(attempt!.id, resultOf())).toBe(true);
    expect(await bed.database.steps.finish((await stepOf(bed, id, key)).id, taskId)).toBe(true);
  }
  const answers = await stepOf(bed, id, 'answers');
  expect(await bed.database.steps.expand(answers.id, shards)).toBe(true);
  expect(await bed.database.steps.expand(answers.id, shards)).toBe(false);
  expect((await treeOf(bed, id)).run.tasksTotal).toBe(6);
  for (const index of [0, 1]) {
    const attempt = await runningAttempt(bed, await readyTask(bed, id, 'answers', index));
    await bed.database.attempts.succeed(attempt, resultOf());
    expect(await bed.database.steps.finish(answers.id, await taskOf(bed, id, 'answers', 2))).toBe(false);
  }
  const mergeId = await readyTask(bed, id, 'answers', 2);
  const merge = await bed.database.attempts.claimLocal({ taskId: mergeId, holder: 'me', holdMs: 10_000 });
  const merged = resultOf();
  await bed.database.attempts.succeed(merge!.id, merged);
  expect(await bed.database.runs.succeed(id)).toBe(false);
  expect(await bed.database.steps.finish(answers.id, mergeId)).toBe(true);
  expect(await stepOf(bed, id, 'answers')).toMatchObject({ state: 'succeeded', output: merged.output.digest, rowsIn: 8, rowsOut: 7, dropped: { empty: 1 }, stats: { mean: 1.5 } });
  const trainId = await readyTask(bed, id, 'train');
  await bed.database.attempts.succeed(await runningAttempt(bed, trainId), resultOf(newDigest(), 'model'));
  await bed.database.steps.finish((await stepOf(bed, id, 'train')).id, trainId);
  expect(await bed.database.runs.succeed(id)).toBe(true);

  const { run } = await treeOf(bed, id);
  expect(run).toMatchObject({ state: 'succeeded', tasksDone: 6, tasksTotal: 6 });
  expect(run.endedAt!.getTime()).toBeGreaterThanOrEqual(run.startedAt!.getTime());
  const events = await bed.database.events.after(id, 0, 1000);
  expect(events.map((event) => event.sequence)).toEqual(Array.from({ length: run.eventSequence }, (_, index) => index + 1));
  expect(events.at(-1)).toMatchObject({ type: 'run.state', data: { state: 'succeeded' } });
  expect((await bed.database.events.after(id, 3, 2)).map((event) => event.sequence)).toEqual([4, 5]);
  expect(await bed.database.runs.active()).not.toContain(id);
});

test('changes of one run at once are numbered without gaps or doubles', async () => {
  const id = await startedRun(bed);
  const answers = await stepOf(bed, id, 'answers');
  const many = Array.from({ length: 12 }, (_, index) => ({ ...shards[0]!, index }));
  await bed.database.steps.expand(answers.id, many);
  const tasks = (await stepOf(bed, id, 'answers')).tasks;
  await Promise.all(tasks.map((task) => bed.database.tasks.markReady(task.id, { cacheKey: 'c'.repeat(64), spec: {}, inputs: [], share: false })));
  const events = await bed.database.events.after(id, 0, 1000);
  expect(events.map((event) => event.sequence)).toEqual(events.map((_, index) => index + 1));
  expect(events.filter((event) => event.data['state'] === 'ready')).toHaveLength(12);
});

test('canceling ends what does not run at once, asks attempts to stop, and finishes when none is alive', async () => {
  const id = await startedRun(bed);
  const attempt = await runningAttempt(bed, await readyTask(bed, id, 'answers', 0));
  await readyTask(bed, id, 'answers', 1);
  expect(await bed.database.runs.requestCancel(id)).toBe(true);
  expect(await bed.database.runs.requestCancel(id)).toBe(false);
  const tree = await treeOf(bed, id);
  expect(tree.run.state).toBe('canceling');
  expect(tree.steps.map((step) => step.state)).toEqual(['canceled', 'canceled', 'running', 'canceled']);
  expect(tree.steps[2]!.tasks.map((task) => task.state)).toEqual(['running', 'canceled', 'canceled']);
  expect((await bed.database.attempts.get(attempt))?.cancelWanted).toBe(true);
  expect(await bed.database.runs.finishCancel(id)).toBe(false);
  expect(await bed.database.attempts.end(attempt, { state: 'canceled', failure: null, next: { kind: 'retry', delayMs: 0 } })).toBe(true);
  expect((await stepOf(bed, id, 'answers')).tasks[0]!.state).toBe('canceled');
  expect(await bed.database.runs.finishCancel(id)).toBe(true);
  const after = await treeOf(bed, id);
  expect(after.run.state).toBe('canceled');
  expect(after.steps.map((step) => step.state)).toEqual(['canceled', 'canceled', 'canceled', 'canceled']);
  expect(await bed.sql('SELECT 1 FROM lease WHERE attempt_id = $1', [attempt])).toEqual([]);
});

test('an attempt that succeeds while its run is being canceled keeps its result', async () => {
  const id = await startedRun(bed);
  const taskId = await readyTask(bed, id, 'answers');
  const attempt = await runningAttempt(bed, taskId);
  await bed.database.runs.requestCancel(id);
  expect(await bed.database.attempts.succeed(attempt, resultOf())).toBe(true);
  expect((await bed.database.tasks.get(taskId))?.state).toBe('succeeded');
  expect(await bed.database.runs.finishCancel(id)).toBe(true);
});

test('a failed run cancels the rest, and its attempts end as canceled whatever they say', async () => {
  const id = await startedRun(bed);
  const running = await runningAttempt(bed, await readyTask(bed, id, 'answers', 0));
  const failing = await claimedAttempt(bed, await readyTask(bed, id, 'answers', 1));
  await bed.database.attempts.end(failing, { state: 'failed', failure, next: { kind: 'fail' } });
  expect(await bed.database.runs.fail(id, failure)).toBe(true);
  expect(await bed.database.runs.fail(id, failure)).toBe(false);
  const tree = await treeOf(bed, id);
  expect(tree.run).toMatchObject({ state: 'failed', failure });
  expect(tree.steps.map((step) => step.state)).toEqual(['canceled', 'canceled', 'failed', 'canceled']);
  expect(tree.steps[2]!.tasks.map((task) => [task.state, task.failure])).toEqual([['canceled', null], ['failed', failure], ['canceled', null]]);
  expect((await bed.database.attempts.get(running))?.cancelWanted).toBe(true);
  expect(await bed.database.attempts.succeed(running, resultOf())).toBe(false);
  expect((await bed.database.attempts.get(running))?.state).toBe('canceled');
  expect(await bed.sql('SELECT 1 FROM lease WHERE attempt_id = $1', [running])).toEqual([]);
});
