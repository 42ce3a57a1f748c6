import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Plan, RunId, RunSpec, WorkerId } from '@sgpo/core';
import { createAdvance } from './advance.ts';
import { createFollow } from './follow.ts';
import { createTurns, reconcile } from './reconcile.ts';
import { openBed, type Bed } from './testing/bed.ts';

let bed: Bed;
beforeAll(async () => { bed = await openBed(); });
afterAll(() => bed.close());

const plan: Plan = {
  steps: [{ key: 'model', kind: 'import-model', title: '', space: null, inputs: {}, parameters: { model: { path: '/m', artifact: null, from: null }, needsChatTemplate: true } }], models: [],
};

async function started(): Promise<RunId> {
  const id = await bed.run({ name: null, preset: 'spin', teacher: null, execution: { shardRows: 8, cache: false, checkpointSeconds: 60 } } as unknown as RunSpec, plan);
  await createAdvance(bed.services)(id);
  return id;
}

test('runs have their turn in a circle, all of them at first', () => {
  const turn = createTurns(2);
  const ids = ['run_a', 'run_b', 'run_c', 'run_d', 'run_e'] as RunId[];
  expect(turn(ids)).toEqual(ids);
  expect([turn(ids), turn(ids), turn(ids), turn(ids)]).toEqual([['run_a', 'run_b'], ['run_c', 'run_d'], ['run_e', 'run_a'], ['run_b', 'run_c']]);
  expect(turn(ids.slice(1, 2))).toEqual(['run_b']);
  expect(turn([])).toEqual([]);
  expect(turn(ids)).toEqual(['run_c', 'run_d']);
});

test('a step whose process is lost is begun again, but not for ever', async () => {
  const { services } = bed;
  const { attempts } = services.database;
  const id = await started();
  const lose = async (): Promise<void> => {
    await attempts.claimLocal({ taskId: (await bed.task(id, 'model')).id, holder: 'dead', holdMs: -1 });
    await reconcile(services, (runs) => runs);
  };
  await lose();
  expect(await bed.task(id, 'model')).toMatchObject({ state: 'ready', attempts: 1 });

  const long = await started();
  const { id: taskId } = await bed.task(long, 'model');
  const gone = { code: 'WORKER.LOST', message: 'gone', remedy: 'none' };
  // Nine losses that were tried again at once, and one process that closed in order and lost nothing.
  for (const failure of [null, ...Array.from({ length: 9 }, () => gone)]) {
    const attempt = await attempts.claimLocal({ taskId, holder: 'dead', holdMs: 60_000 });
    await attempts.end(attempt!.id, { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } });
  }
  await attempts.claimLocal({ taskId, holder: 'dead', holdMs: -1 });
  await reconcile(services, (runs) => runs);
  expect(await bed.task(long, 'model')).toMatchObject({ state: 'failed', failure: { code: 'TASK.RETRIES_EXHAUSTED', message: expect.stringContaining('lost 10 times') as string } });
});

test('an attempt that cannot be followed is left to others twice, and then ends', async () => {
  // This bed has no registry of workers: to ask one is a fault that nobody foresaw.
  const { database } = bed.services;
  const training: Plan = { steps: [{ key: 'train', kind: 'sft', title: '', space: null, inputs: {}, parameters: {} as never }], models: [] };
  const id = await bed.run({ name: null, preset: 'spin', teacher: null, execution: { cache: false } } as unknown as RunSpec, training);
  await database.runs.start(id);
  const { id: taskId } = await bed.task(id, 'train');
  await database.tasks.markReady(taskId, { cacheKey: '0'.repeat(64), spec: {}, inputs: [], share: false });
  const workerId = 'w' as WorkerId;
  await database.workers.seen({ id: workerId, address: 'a:1', instanceId: 'i', engine: 'transformers', deterministic: true, deviceKind: 'cpu', devices: ['cpu'], slots: 1, draining: false, warmModel: null, versions: {} });
  const attempt = await database.attempts.claim({ taskId, workerId, slot: 0, leaseMs: 60_000 });
  const follow = createFollow(bed.services);
  const never = new AbortController().signal;
  await expect(follow(attempt!, never)).rejects.toThrow(TypeError);
  await expect(follow(attempt!, never)).rejects.toThrow(TypeError);
  await follow(attempt!, never);
  expect(await database.attempts.get(attempt!)).toMatchObject({ state: 'failed', failure: { code: 'SERVICE.INTERNAL' } });
  expect(await database.attempts.claim({ taskId, workerId, slot: 0, leaseMs: 60_000 })).toBeNull(); // not before its time
  expect((await bed.task(id, 'train')).state).toBe('ready');
  expect((await database.attempts.placeable(60_000)).workers).toMatchObject([{ id: workerId, freeSlots: [0] }]);
});
