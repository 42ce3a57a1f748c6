/** Pair by pair: each method moves from exactly the states that the tables of core/states.ts let it, and a refusal leaves no trace. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attemptTransitions, canMove, runTransitions, stepTransitions, taskTransitions, type AttemptId, type RunId, type StepId, type TaskId } from '@sgpo/core';
import { createRun, failure, openTestBed, readyTask, resultOf, runningAttempt, startedRun, stepOf, taskOf, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

const trace = (runId: RunId) => bed.sql('SELECT state, event_sequence, tasks_done, updated_at, (SELECT count(*) FROM outbox) AS jobs, (SELECT count(*) FROM event) AS events FROM run WHERE id = $1', [runId]);

async function expectMove(input: { table: string; id: string; runId: RunId; entity: 'run' | 'step' | 'task' | 'attempt'; from: string; to: string; legal?: boolean; act: () => Promise<unknown> }): Promise<void> {
  const { table, id, runId, entity, from, to, act, legal = canMove(entity, from, to) } = input;
  await bed.sql(`UPDATE ${table} SET state = $2 WHERE id = $1`, [id, from]);
  const before = await trace(runId);
  const answer = await act();
  expect(answer !== false && answer !== null && answer !== 'stale', `${entity} ${from} → ${to}`).toBe(legal);
  const [row] = await bed.sql<{ state: string }>(`SELECT state FROM ${table} WHERE id = $1`, [id]);
  expect(row?.state).toBe(legal ? to : from);
  if (!legal) expect(await trace(runId)).toEqual(before);
}

describe.each(Object.keys(runTransitions))('a run that is %s', (from) => {
  test.each([
    ['running', (id: RunId) => bed.database.runs.start(id)], ['canceling', (id: RunId) => bed.database.runs.requestCancel(id)],
    ['canceled', (id: RunId) => bed.database.runs.finishCancel(id)], ['failed', (id: RunId) => bed.database.runs.fail(id, failure)],
    ['succeeded', (id: RunId) => bed.database.runs.succeed(id)], ['paused', (id: RunId) => bed.database.runs.pause(id, 'budget')],
  ] as const)('→ %s', async (to, act) => {
    const { id } = await createRun(bed);
    if (to === 'succeeded') await bed.sql('UPDATE step SET state = \'cached\' WHERE run_id = $1', [id]);
    // Starting is for queued runs alone, though the table lets a paused one run again.
    const legal = canMove('run', from, to) && !(from === 'paused' && to === 'running');
    await expectMove({ table: 'run', id, runId: id, entity: 'run', from, to, legal, act: () => act(id) });
  });

  test('→ running again', async () => {
    const { id } = await createRun(bed);
    await expectMove({ table: 'run', id, runId: id, entity: 'run', from, to: 'running', legal: from === 'paused', act: () => bed.database.runs.resume(id, null) });
  });
});

describe.each(Object.keys(runTransitions))('in a run that is %s', (state) => {
  const going = state === 'running' || state === 'paused';
  const inRun = (runId: RunId) => bed.sql('UPDATE run SET state = $2 WHERE id = $1', [runId, state]);

  test('a ready task begins only when the run runs', async () => {
    const runId = await startedRun(bed);
    const id = await readyTask(bed, runId, 'rows');
    await inRun(runId);
    await expectMove({
      table: 'task', id, runId, entity: 'task', from: 'ready', to: 'running', legal: state === 'running',
      act: () => bed.database.attempts.claimLocal({ taskId: id, holder: 'me', holdMs: 1_000 }),
    });
  });

  test.each([
    ['retry', { kind: 'retry', delayMs: 0 }, 'ready'], ['fail', { kind: 'fail' }, 'failed'], ['cancel', { kind: 'cancel' }, 'canceled'], ['pause', { kind: 'pause', reason: 'budget' }, 'ready'],
  ] as const)('an attempt that ends with %s leaves its task as it should', async (_, next, wanted) => {
    const runId = await startedRun(bed);
    const id = await readyTask(bed, runId, 'rows');
    const attempt = await bed.database.attempts.claimLocal({ taskId: id, holder: 'me', holdMs: 1_000 });
    await inRun(runId);
    expect(await bed.database.attempts.end(attempt!.id, { state: 'failed', failure, next })).toBe(true);
    expect((await bed.database.tasks.get(id))?.state).toBe(going ? wanted : 'canceled');
    expect((await bed.database.runs.get(runId))?.state).toBe(next.kind === 'pause' && state === 'running' ? 'paused' : state);
  });
});

describe.each(Object.keys(stepTransitions))('a step that is %s', (from) => {
  test.each([
    ['running', (id: StepId) => bed.database.steps.begin(id)],
    ['succeeded', (id: StepId, taskId: TaskId) => bed.database.steps.finish(id, taskId)],
  ] as const)('→ %s', async (to, act) => {
    const runId = await startedRun(bed);
    const { id } = await stepOf(bed, runId, 'train');
    const taskId = await taskOf(bed, runId, 'train');
    await bed.sql('UPDATE task SET state = \'succeeded\' WHERE id = $1', [taskId]);
    await expectMove({ table: 'step', id, runId, entity: 'step', from, to, act: () => act(id, taskId) });
  });
});

describe.each(Object.keys(taskTransitions))('a task that is %s', (from) => {
  test.each([
    ['ready', (id: TaskId) => bed.database.tasks.markReady(id, { cacheKey: 'a'.repeat(64), spec: {}, inputs: [], share: false })],
    ['cached', (id: TaskId, done: TaskId) => bed.database.tasks.markCached(id, { cacheKey: 'a'.repeat(64), from: done })],
    ['failed', (id: TaskId) => bed.database.tasks.markFailed(id, failure)],
    ['running', (id: TaskId) => bed.database.attempts.claimLocal({ taskId: id, holder: 'me', holdMs: 1000 })],
  ] as const)('→ %s', async (to, act) => {
    const runId = await startedRun(bed);
    const done = await taskOf(bed, runId, 'model');
    await bed.sql('UPDATE task SET state = \'succeeded\' WHERE id = $1', [done]);
    const id = await taskOf(bed, runId, 'rows');
    // Preparing starts from pending alone, though the table lets a running task become ready or failed through its attempt.
    const legal = to === 'running' ? from === 'ready' : from === 'pending';
    expect(legal && !canMove('task', from, to)).toBe(false);
    await expectMove({ table: 'task', id, runId, entity: 'task', from, to, legal, act: () => act(id, done) });
  });
});

describe.each(Object.keys(attemptTransitions))('an attempt that is %s', (from) => {
  test.each([
    ['running', (id: AttemptId) => bed.database.attempts.started(id)], ['succeeded', (id: AttemptId) => bed.database.attempts.succeed(id, resultOf())],
    ['failed', (id: AttemptId) => bed.database.attempts.end(id, { state: 'failed', failure, next: { kind: 'fail' } })],
    ['lost', (id: AttemptId) => bed.database.attempts.end(id, { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } })],
    ['canceled', (id: AttemptId) => bed.database.attempts.end(id, { state: 'canceled', failure: null, next: { kind: 'cancel' } })],
  ] as const)('→ %s', async (to, act) => {
    const runId = await startedRun(bed);
    const id = await runningAttempt(bed, await readyTask(bed, runId, 'train'));
    await expectMove({ table: 'attempt', id, runId, entity: 'attempt', from, to, act: () => act(id) });
  });
});
