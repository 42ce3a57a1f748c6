import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EndpointTeacher, Plan, RunId, RunSpec } from '@sgpo/core';
import type { TaskResult } from '@sgpo/database';
import { createLimits, startBatchServer, type BatchServer } from '@sgpo/llm';
import { createBudgets } from '../budgets.ts';
import type { Services } from '../services.ts';
import { tableSchemas } from '../table-schemas.ts';
import { contextOf, openBed, type Bed } from '../testing/bed.ts';
import type { LocalContext, StopReason } from './local-task.ts';
import { teach } from './teach.ts';

let bed: Bed;
let services: Services;
beforeAll(async () => {
  bed = await openBed();
  const { database } = bed.services;
  services = { ...bed.services, limits: createLimits(), budgets: createBudgets({ database }), allowedHosts: ['127.0.0.1'] };
});
afterAll(() => bed.close());

const plan: Plan = { steps: [{ key: 'report', kind: 'report', title: '', space: null, inputs: {}, parameters: {} }], models: [] };
const teacherAt = ({ url }: BatchServer, changes: Partial<EndpointTeacher> = {}): EndpointTeacher => ({
  source: 'endpoint', baseUrl: url, model: 'tiny', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 50, seed: null, mode: 'requests', concurrency: 4,
  timeoutSeconds: 5, maxAttempts: 2, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: { promptPerMillion: 10, completionPerMillion: 10 }, budget: { tokens: null, cost: null }, ...changes,
});
async function runOf(teacher: EndpointTeacher): Promise<RunId> {
  const id = await bed.run({ name: null, preset: 'sgpo', teacher, execution: { cache: false } } as unknown as RunSpec, plan);
  await services.database.runs.start(id);
  return id;
}
interface Step { readonly run: RunId; readonly teacher: EndpointTeacher; readonly topic: string; readonly rows?: number; readonly signal?: AbortSignal }
interface Taught { readonly result: TaskResult; readonly rows: Record<string, unknown>[]; readonly progress: (readonly [number, number])[] }
async function run({ run: id, teacher, topic, rows = 6, signal = new AbortController().signal }: Step): Promise<Taught> {
  const { tables } = services;
  const requests = await tables.write(tableSchemas.requests, Array.from({ length: rows }, (_, pos) => ({ id: `r${String(pos)}`, pos: pos * 2, messages: [{ role: 'user', content: `${topic} ${String(pos)}` }] })));
  const progress: (readonly [number, number])[] = [];
  const context: LocalContext = { ...contextOf(services, { id: 'tsk_1' as never, runId: id }), signal, progress: (done, total) => { progress.push([done, total]); } };
  const result = await teach(context, { kind: 'teach', requests: requests.digest, teacher });
  const read: Record<string, unknown>[] = [];
  for await (const row of tables.scan(result.output.digest)) read.push(row);
  return { result, rows: read, progress };
}

test.each(['requests', 'batch'] as const)('%s: every row comes back, in order, answered or with its reason, and is charged to the run', async (mode) => {
  const rejected = `${mode} 2`;
  await using server = await startBatchServer({ outcome: ({ request }) => (request.messages[0]?.content === rejected ? 'rejected' : 'answer'), answer: ({ messages }) => (messages[0]?.content === `${mode} 4` ? ' ' : `yes, ${messages[0]?.content ?? ''}\n`) });
  const teacher = teacherAt(server, { mode });
  const id = await runOf(teacher);
  const { result, rows, progress } = await run({ run: id, teacher, topic: mode });
  const dropped = mode === 'batch' ? { teacher_rejected: 1, teacher_empty: 1 } : { teacher_empty: 1 };
  expect(result).toMatchObject({ rowsIn: 6, rowsOut: 6 - Object.keys(dropped).length, dropped, output: { rows: 6 } });
  expect(rows.map(({ id: row, pos }) => [row, pos])).toEqual([0, 1, 2, 3, 4, 5].map((nth) => [`r${String(nth)}`, nth * 2]));
  expect(rows[5]).toEqual({ id: 'r5', pos: 10, text: `yes, ${mode} 5`, finish_reason: 'stop', prompt_tokens: 10, completion_tokens: 5, drop_reason: null });
  if (mode === 'batch') expect(rows[2]).toMatchObject({ text: '', finish_reason: 'rejected', drop_reason: 'teacher_rejected' });
  const calls = mode === 'batch' ? 5 : 6;
  expect(result.stats).toEqual({ calls, reused: 0, batches: mode === 'batch' ? 1 : 0, promptTokens: calls * 10, completionTokens: calls * 5, cost: expect.closeTo(calls * 15 * (mode === 'batch' ? 5 : 10) / 1e6, 12) as number });
  expect(await services.database.ledger.spent(id)).toEqual({ calls, promptTokens: calls * 10, completionTokens: calls * 5 });
  if (mode === 'requests') expect(progress).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6]));
});

test('the same rows make the same table in either mode, and the second pays nothing, whatever its budget', async () => {
  await using server = await startBatchServer();
  const [calls, batch] = [teacherAt(server), teacherAt(server, { mode: 'batch', budget: { tokens: 1, cost: null } })];
  const first = await run({ run: await runOf(calls), teacher: calls, topic: 'both' });
  const other = await runOf(batch);
  const second = await run({ run: other, teacher: batch, topic: 'both' });
  expect(second.result.output.digest).toBe(first.result.output.digest);
  expect(second.result.stats).toMatchObject({ calls: 0, reused: 6, cost: 0 });
  expect(await services.database.ledger.spent(other)).toMatchObject({ calls: 0 });
});

test.each(['requests', 'batch'] as const)('%s: a budget that is reached loses nothing, and when it is raised the rest is asked', async (mode) => {
  await using server = await startBatchServer();
  // A call may take 64 tokens and takes 15.
  const teacher = teacherAt(server, { mode, budget: { tokens: 140, cost: null } });
  const id = await runOf(teacher);
  const step: Step = { run: id, teacher, topic: `budget ${mode}`, rows: 12 };
  await expect(run(step)).rejects.toMatchObject({ code: 'TEACHER.BUDGET_REACHED', entry: { retry: 'pause' } });
  const { ledger, runs } = services.database;
  const before = await ledger.spent(id);
  expect(before.calls).toBeGreaterThan(0);
  expect(before.promptTokens + before.completionTokens).toBeLessThanOrEqual(140);
  await runs.pause(id, 'budget');
  await runs.resume(id, { tokens: 10_000, cost: null });
  const { result } = await run(step);
  expect(result).toMatchObject({ rowsIn: 12, rowsOut: 12, stats: { calls: 12 - before.calls, reused: before.calls } });
  expect([...server.paid.values()]).toEqual(Array.from({ length: 12 }, () => 1));
});

test('only a cancel ends a batch at the provider; what it had finished is kept', async () => {
  await using server = await startBatchServer({ polls: (batch) => (batch < 2 ? Infinity : 0) });
  const teacher = teacherAt(server, { mode: 'batch' });
  const id = await runOf(teacher);
  const stopped = async (topic: string, reason: StopReason): Promise<void> => {
    const stop = new AbortController();
    setTimeout(() => { stop.abort(reason); }, 200);
    await expect(run({ run: id, teacher, topic, signal: stop.signal })).rejects.toBe(reason);
  };
  await stopped('kept', 'shutdown');
  expect([server.count('cancel'), server.batches[0]?.status]).toEqual([0, 'in_progress']);
  await stopped('canceled', 'canceled');
  expect([server.count('cancel'), server.batches[1]?.status]).toEqual([1, 'cancelled']);
  const { result } = await run({ run: id, teacher, topic: 'canceled' });
  expect(result.stats).toMatchObject({ calls: 3, reused: 3, batches: 1 });
});
