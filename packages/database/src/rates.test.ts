import { afterAll, beforeAll, expect, test } from 'vitest';
import { failure, openTestBed, readyTask, resultOf, runningAttempt, startedRun, stepOf, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

/** One shard that took `seconds`, and a training that took ten times as long. */
async function ranFor(seconds: number): Promise<void> {
  const runId = await startedRun(bed);
  for (const [key, took] of [['answers', seconds], ['train', seconds * 10]] as const) {
    const attempt = await runningAttempt(bed, await readyTask(bed, runId, key));
    await bed.database.attempts.succeed(attempt, resultOf());
    await bed.sql('UPDATE attempt SET started_at = ended_at - make_interval(secs => $2) WHERE id = $1', [attempt, took]);
  }
}

test('rates are those of finished work: rows that went in, or were trained on, and the time of the attempt', async () => {
  expect(await bed.database.rates.recent()).toEqual([]);
  await ranFor(2);
  await ranFor(3);
  // None of these says how fast the work is.
  const runId = await startedRun(bed);
  await runningAttempt(bed, await readyTask(bed, runId, 'train'));
  const shard = await readyTask(bed, runId, 'answers', 0);
  await bed.database.attempts.end(await runningAttempt(bed, shard), { state: 'lost', failure, next: { kind: 'retry', delayMs: 0 } });
  await bed.sql('UPDATE worker SET slots = 2');
  const again = await bed.database.attempts.claim({ taskId: shard, workerId: (await bed.database.workers.list())[0]!.id, slot: 1, leaseMs: 1_000 });
  await bed.database.attempts.started(again!);
  await bed.database.attempts.succeed(again!, resultOf());
  const merge = await readyTask(bed, runId, 'answers', 2);
  await bed.database.attempts.succeed((await bed.database.attempts.claimLocal({ taskId: merge, holder: 'me', holdMs: 1_000 }))!.id, resultOf());
  const local = await readyTask(bed, runId, 'rows');
  await bed.database.attempts.succeed((await bed.database.attempts.claimLocal({ taskId: local, holder: 'me', holdMs: 1_000 }))!.id, resultOf());
  const cachedRun = await startedRun(bed);
  const done = (await stepOf(bed, runId, 'answers')).tasks[0]!;
  const cached = (await stepOf(bed, cachedRun, 'train')).tasks[0]!.id;
  expect(await bed.database.tasks.markCached(cached, { cacheKey: done.cacheKey!, from: done.id })).toBe(true);

  const rates = await bed.database.rates.recent();
  expect(rates).toEqual([{ kind: 'generate', rows: 16, seconds: expect.closeTo(5, 6), tasks: 2 }, { kind: 'sft', rows: 14, seconds: expect.closeTo(50, 6), tasks: 2 }]);
});

test('only the newest tasks of a kind count', async () => {
  await bed.sql(`
    WITH old AS (
      SELECT task.*, step.started_at AS began FROM task JOIN step ON step.id = task.step_id WHERE step.kind = 'generate' AND task.state = 'succeeded' AND task.role = 'shard' AND task.attempts = 1 LIMIT 1
    ), steps AS (
      INSERT INTO step (id, run_id, key, kind, title, position, state, inputs, parameters, started_at)
      SELECT 'stp_' || n, run_id, 'key' || n, 'generate', 't', 0, 'succeeded', '{}', '{}', began + make_interval(secs => n) FROM old, generate_series(1, 250) AS n RETURNING id, run_id
    ), tasks AS (
      INSERT INTO task (id, step_id, run_id, index, role, location, state, rows_in, rows_out, attempts)
      SELECT 'tsk_' || id, id, run_id, 0, 'shard', 'worker', 'succeeded', 1, 1, 1 FROM steps RETURNING id, run_id
    )
    INSERT INTO attempt (id, task_id, run_id, number, fence, state, started_at, ended_at)
    SELECT 'att_' || id, id, run_id, 1, 0, 'succeeded', now(), now() + interval '2 seconds' FROM tasks`);
  expect((await bed.database.rates.recent())[0]).toEqual({ kind: 'generate', rows: 200, seconds: expect.closeTo(400, 6), tasks: 200 });
});
