import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AttemptId, Plan, RunId, RunSpec, SamplingOptions, TaskId, WorkerId } from '@sgpo/core';
import { createAdvance } from './advance.ts';
import { tableSchemas } from './table-schemas.ts';
import { openBed, resultOf, type Bed } from './testing/bed.ts';

let bed: Bed;
let advance: (id: RunId) => Promise<void>;
beforeAll(async () => { bed = await openBed(); advance = createAdvance(bed.services); });
afterAll(() => bed.close());

const sampling: SamplingOptions = { temperature: 0.7, topP: 0.9, maxNewTokens: 8, maxLength: 64, blockRows: 4, dtype: 'float32' };
const specOf = (cache: boolean): RunSpec => ({ name: null, preset: 'spin', sampling, teacher: null, execution: { shardRows: 8, cache, checkpointSeconds: 60 } }) as unknown as RunSpec;
/** Rows and a model, one sampling step over both, and a step that waits for it. `seed` keeps the runs of one test from those of another. */
const planOf = (seed: number): Plan => ({
  steps: [
    { key: 'model', kind: 'import-model', title: '', space: null, inputs: {}, parameters: { model: { path: '/m', artifact: null, from: null }, needsChatTemplate: true } },
    { key: 'rows', kind: 'ingest', title: '', space: 'policy', inputs: {}, parameters: { source: { path: 'a.jsonl' }, space: 'policy', heldOutOverlap: 'drop', scores: 'check' } as never },
    { key: 'y', kind: 'generate', title: '', space: 'policy', inputs: { rows: 'rows', model: 'model' }, parameters: { prompt: 'plain', promptHash: 'x', sampling, seed, sampleIndex: 0 } },
  ],
  models: [{ name: 'pi0', title: 'π₀', step: 'model' }],
});

/** A run whose local steps are done: its sampling step is as far as it goes. */
async function runTo(seed: number, { cache = true, rows = 6 }: { readonly cache?: boolean; readonly rows?: number } = {}): Promise<RunId> {
  const { tables } = bed.services;
  const id = await bed.run(specOf(cache), planOf(seed));
  await advance(id);
  const source = await tables.write(tableSchemas.rows, Array.from({ length: rows }, (_, pos) => ({ id: `r${String(pos)}`, pos, prompt: [{ role: 'user', content: `q${String(pos)}` }], response: 'a', source_row: pos })));
  await bed.finish(id, 'rows', resultOf(source));
  const model = await tables.write(tableSchemas.measures, []);
  await bed.finish(id, 'model', resultOf(model));
  await advance(id);
  return id;
}

const statesOf = async (id: RunId): Promise<string[]> => (await bed.tree(id)).steps.find(({ key }) => key === 'y')!.tasks.map(({ state }) => state);
const stepState = async (id: RunId): Promise<string> => (await bed.tree(id)).steps.find(({ key }) => key === 'y')!.state;

let workers = 0;
/** A worker's attempt at a ready task. */
async function claim(taskId: TaskId): Promise<AttemptId> {
  const { database } = bed.services;
  workers += 1;
  const workerId = `w${String(workers)}` as WorkerId;
  await database.workers.seen({ id: workerId, address: 'a:1', instanceId: 'i', engine: 'transformers', deterministic: true, deviceKind: 'cpu', devices: ['cpu'], slots: 1, draining: false, warmModel: null, versions: {} });
  const attempt = await database.attempts.claim({ taskId, workerId, slot: 0, leaseMs: 60_000 });
  await database.attempts.started(attempt!);
  return attempt!;
}
async function answer(id: RunId, index: number): Promise<void> {
  const task = await bed.task(id, 'y', index);
  const attempt = await claim(task.id);
  const rows = Array.from({ length: task.posTo! - task.posFrom! }, (_, at) => ({
    id: `r${String(task.posFrom! + at)}`, pos: task.posFrom! + at, text: 'y', token_ids: [1], finish_reason: 'stop', prompt_tokens: 2, completion_tokens: 1, drop_reason: null,
  }));
  await bed.services.database.attempts.succeed(attempt, resultOf(await bed.services.tables.write(tableSchemas.generate, rows)));
}

test('the first of two equal runs works, the other waits and takes over what was done, task by task', async () => {
  const first = await runTo(1);
  const second = await runTo(1);
  expect([await statesOf(first), await stepState(first)]).toEqual([['ready', 'ready', 'pending'], 'running']);
  expect([await statesOf(second), await stepState(second)]).toEqual([['pending', 'pending', 'pending'], 'pending']);

  await answer(first, 0);
  await advance(second);
  expect([await statesOf(second), await stepState(second)]).toEqual([['cached', 'pending', 'pending'], 'running']);
  expect((await bed.task(second, 'y', 0)).output).toBe((await bed.task(first, 'y', 0)).output);
});

test('a run whose work failed leaves it to those that waited for it', async () => {
  const first = await runTo(2, { rows: 4 });
  const second = await runTo(2, { rows: 4 });
  const attempt = await claim((await bed.task(first, 'y')).id);
  await bed.services.database.attempts.end(attempt, { state: 'failed', failure: { code: 'WORKER.REJECTED', message: 'no', remedy: 'none' }, next: { kind: 'fail' } });
  await advance(first);
  await advance(second);
  expect((await bed.tree(first)).run.state).toBe('failed');
  expect((await bed.tree(second)).run.state).toBe('running');
  expect((await statesOf(second))[0]).toBe('ready');
});

test('nobody waits for the tasks of a paused run, and a paused run stays as it is', async () => {
  const first = await runTo(3, { rows: 4 });
  const second = await runTo(3, { rows: 4 });
  await bed.services.database.runs.pause(first, 'budget');
  await advance(second);
  expect((await statesOf(second))[0]).toBe('ready');
  await answer(second, 0);
  await advance(first);
  expect((await statesOf(first))[0]).toBe('ready');
  expect((await bed.tree(first)).run.state).toBe('paused');
});

test('without the cache nothing is waited for and nothing taken over', async () => {
  const first = await runTo(4, { rows: 4 });
  await answer(first, 0);
  const second = await runTo(4, { rows: 4, cache: false });
  expect((await statesOf(second))[0]).toBe('ready');
});

test('a finished equal task whose files are gone is run again', async () => {
  const first = await runTo(5, { rows: 4 });
  await answer(first, 0);
  await rm(bed.services.store.path((await bed.task(first, 'y', 0)).output!), { recursive: true });
  const second = await runTo(5, { rows: 4 });
  // The database tells the run of the finished task first; what it is worth is found at the next look, which it asks for.
  await advance(second);
  expect((await statesOf(second))[0]).toBe('ready');
});

test('a paused run that has failed already ends, and waits for no budget', async () => {
  const id = await runTo(6, { rows: 4 });
  const attempt = await claim((await bed.task(id, 'y')).id);
  const { database } = bed.services;
  await database.runs.pause(id, 'budget');
  await database.attempts.end(attempt, { state: 'failed', failure: { code: 'WORKER.REJECTED', message: 'no', remedy: 'none' }, next: { kind: 'fail' } });
  await advance(id);
  expect((await bed.tree(id)).run).toMatchObject({ state: 'failed', failure: { code: 'WORKER.REJECTED', message: 'Step y: no' } });
});

test('a run whose stored plan nobody can follow ends with what to do about it', async () => {
  const { steps, models } = planOf(7);
  const id = await bed.run(specOf(true), { steps: steps.map((step) => (step.key === 'y' ? { ...step, inputs: { ...step.inputs, rows: 'rows-of-old' } } : step)), models });
  await advance(id);
  expect((await bed.tree(id)).run).toMatchObject({ state: 'failed', failure: { code: 'SERVICE.INTERNAL', message: expect.stringContaining('stored plan') as string, remedy: expect.stringMatching(/^Launch the run again/) as string } });
});

test('however many ask at once, a run is looked at once more, and a task that waits costs no question of its own', async () => {
  await runTo(8, { rows: 40 });
  const id = await runTo(8, { rows: 40 });
  const { database } = bed.services;
  const counts = { trees: 0, questions: 0 };
  const counted = {
    ...bed.services,
    database: {
      ...database, runs: { ...database.runs, tree: (run: RunId) => { counts.trees += 1; return database.runs.tree(run); } },
      tasks: { ...database.tasks, atWork: (keys: readonly string[]) => { counts.questions += 1; return database.tasks.atWork(keys); }, findEqual: (key: string) => { counts.questions += 1; return database.tasks.findEqual(key); } },
    },
  };
  const moveOn = createAdvance(counted);
  await Promise.all(Array.from({ length: 50 }, () => moveOn(id)));
  expect((await statesOf(id)).filter((state) => state === 'pending')).toHaveLength(7);
  expect(counts).toEqual({ trees: 2, questions: 2 });
});
