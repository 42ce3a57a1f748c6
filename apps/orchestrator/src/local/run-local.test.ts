import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EndpointTeacher, Plan, RunId, RunSpec, TaskId } from '@sgpo/core';
import { createAdvance } from '../advance.ts';
import { tableSchemas } from '../table-schemas.ts';
import { openBed, resultOf, type Bed } from '../testing/bed.ts';
import { createLocalRunner } from './run-local.ts';

let bed: Bed;
/** The far side of the network: answers every question with 15 tokens, or, while `hangs`, not at all. */
let server: Server;
let asked = 0;
let hangs = false;

beforeAll(async () => {
  bed = await openBed();
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      asked += 1;
      if (hangs) return;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({
        id: 'c', object: 'chat.completion', created: 1, model: 't', choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: `answer ${String(asked)}`, refusal: null } }],
        usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
      }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await bed.close();
});

const teacherOf = (model: string, changes: Partial<EndpointTeacher>): EndpointTeacher => ({
  source: 'endpoint', baseUrl: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`, model, weights: null, apiKey: null, temperature: 0, topP: 1, maxTokens: 8,
  seed: null, mode: 'requests', concurrency: 1, timeoutSeconds: 60, maxAttempts: 1, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null,
  budget: { tokens: null, cost: null }, ...changes,
});

const rows = 4;
let models = 0;

/** A run whose one shard of questions is ready. Every run asks a model of its own name, so that none finds another's answers. */
async function readyRun(changes: Partial<EndpointTeacher> = {}): Promise<{ readonly id: RunId; readonly taskId: TaskId }> {
  models += 1;
  asked = 0;
  const teacher = teacherOf(`t${String(models)}`, changes);
  const spec = { name: null, preset: 'sgpo', teacher, sampling: { blockRows: 4 }, execution: { shardRows: 8, cache: true, checkpointSeconds: 60 } } as unknown as RunSpec;
  const plan: Plan = {
    steps: [
      { key: 'rows', kind: 'ingest', title: '', space: 'improver', inputs: {}, parameters: { source: { path: 'a.jsonl' }, space: 'improver', heldOutOverlap: 'drop', scores: 'check' } as never },
      { key: 'teach', kind: 'teach', title: '', space: 'improver', inputs: { rows: 'rows' }, parameters: { prompt: 'plain', promptHash: 'h', teacher } },
    ],
    models: [],
  };
  const advance = createAdvance(bed.services);
  const id = await bed.run(spec, plan);
  await advance(id);
  await bed.finish(id, 'rows', resultOf(await bed.services.tables.write(tableSchemas.rows, Array.from({ length: rows }, (_, pos) =>
    ({ id: `r${String(pos)}`, pos, prompt: [{ role: 'user' as const, content: `q${String(pos)}` }], response: 'a', source_row: pos })))));
  await advance(id);
  const task = await bed.task(id, 'teach');
  expect(task.state).toBe('ready');
  return { id, taskId: task.id };
}

const attemptsOf = async (id: RunId) => (await bed.services.database.attempts.ofRun(id)).slice(1).map(({ state, failure }) => [state, failure?.code ?? null]);
const never = new AbortController().signal;
async function until(check: () => Promise<boolean> | boolean): Promise<void> {
  while (!await check()) await sleep(20);
}

test('a budget that is reached pauses the run; raised, it goes on with what is left and pays nothing twice', async () => {
  // A call may take maxTokens and its prompt: two fit, and what they really took leaves no room for a third.
  const { id, taskId } = await readyRun({ budget: { tokens: 45, cost: null } });
  const run = createLocalRunner(bed.services);
  await run(taskId, never);
  const paused = (await bed.tree(id)).run;
  expect([paused.state, paused.pauseReason, (await bed.task(id, 'teach')).state]).toEqual(['paused', 'budget', 'ready']);
  expect(await attemptsOf(id)).toEqual([['failed', 'TEACHER.BUDGET_REACHED']]);
  expect(asked).toBeGreaterThan(0);
  expect(asked).toBeLessThan(rows);

  await run(taskId, never);
  expect(await attemptsOf(id)).toHaveLength(1);

  await bed.services.database.runs.resume(id, { tokens: 1_000, cost: null });
  await run(taskId, never);
  expect(await bed.task(id, 'teach')).toMatchObject({ state: 'succeeded', rowsIn: rows, rowsOut: rows });
  expect(asked).toBe(rows);
});

test('a canceled run ends its step', async () => {
  hangs = true;
  const { id, taskId } = await readyRun();
  const running = createLocalRunner(bed.services)(taskId, never);
  await until(() => asked > 0);
  await bed.services.database.runs.requestCancel(id);
  await running;
  hangs = false;
  expect([await attemptsOf(id), (await bed.task(id, 'teach')).state]).toEqual([[['canceled', null]], 'canceled']);
});

test('a process that ends leaves its step, ready, to the next one', async () => {
  hangs = true;
  const { id, taskId } = await readyRun();
  const stop = new AbortController();
  const running = createLocalRunner(bed.services)(taskId, stop.signal);
  await until(() => asked > 0);
  stop.abort();
  await running;
  hangs = false;
  expect([await attemptsOf(id), (await bed.task(id, 'teach')).state]).toEqual([[['lost', null]], 'ready']);
  await createLocalRunner(bed.services)(taskId, never);
  expect((await bed.task(id, 'teach')).state).toBe('succeeded');
});

test('a step that cannot work fails with its reason, and is not tried again', async () => {
  const { id, taskId } = await readyRun({ apiKey: 'env:NO_SUCH_KEY' });
  await createLocalRunner(bed.services)(taskId, never);
  expect(await bed.task(id, 'teach')).toMatchObject({ state: 'failed', failure: { code: 'TEACHER.KEY_MISSING' } });
});
