// A teacher that misbehaves, a budget that ends, batches that take their time, a process that dies: no answer is paid twice, no row is lost.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBatchServer, type BatchServerOptions } from '@sgpo/llm';
import type { Run, RunDetail, RunSpecBody } from '@sgpo/contracts';
import { startFleet, type Fleet } from './fleet.ts';

let fleet: Fleet;
const servers: Server[] = [];
beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => {
  for (const server of servers) server.close();
  await fleet.stop();
});

const stepOf = (run: RunDetail, key: string) => run.steps.find((step) => step.key === key)!;
const pause = (ms: number): Promise<void> => new Promise((wake) => { setTimeout(wake, ms); });

/** An sgpo run without evaluation. `seed` keeps its answers apart from those of the other tests: the ledger outlives runs. */
const specOf = (url: string, seed: number, teacher: Record<string, unknown> = {}): RunSpecBody => {
  const { improver, policy } = (fleet.spec() as unknown as { data: Record<string, unknown> }).data;
  return fleet.spec({ preset: 'sgpo', seed, data: { improver, policy }, teacher: { baseUrl: url, model: 'played', seed, concurrency: 2, maxTokens: 32, timeoutSeconds: 2, ...teacher } });
};

/** Sentences, different for each question, that are neither refusals nor copies. */
const answer = (messages: readonly { readonly content: string }[]): string => `It measures ${String((messages.at(-1)?.content.length ?? 0) % 97)} of them.`;

test('429, 500, time-outs, resets, cut and malformed answers, refusals and empty ones: every row is answered once, or dropped with a reason', async () => {
  const paid = new Map<string, number>();
  let calls = 0;
  const seen = new Map<string, number>();
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => { text += chunk.toString(); }).on('end', () => {
      const { messages } = JSON.parse(text) as { messages: { content: string }[] };
      const question = JSON.stringify(messages);
      const nth = seen.get(question) ?? 0;
      seen.set(question, nth + 1);
      calls += 1;
      const which = [...seen.keys()].indexOf(question) % 9;
      const reply = (choice: Record<string, unknown>, finish = 'stop'): void => {
        paid.set(question, (paid.get(question) ?? 0) + 1);
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'played', choices: [{ index: 0, finish_reason: finish, message: { role: 'assistant', ...choice } }], usage: { prompt_tokens: 20, completion_tokens: 8, total_tokens: 28 } }));
      };
      if (nth === 0 && which === 0) { response.writeHead(429, { 'retry-after': '1' }); response.end('{}'); return; }
      if (nth === 0 && which === 1) { response.writeHead(500); response.end('{}'); return; }
      if (nth === 0 && which === 2) { setTimeout(() => { response.destroy(); }, 4_000); return; }
      if (nth === 0 && which === 3) { response.socket?.resetAndDestroy(); return; }
      if (nth === 0 && which === 4) { response.writeHead(200, { 'content-type': 'application/json', 'content-length': '400' }); response.write('{"choices": ['); response.socket?.end(); return; }
      if (nth === 0 && which === 5) { response.writeHead(200, { 'content-type': 'application/json' }); response.end('{"choices": ['); return; }
      if (which === 6) { reply({ content: null, refusal: 'I cannot help with that.' }); return; }
      if (which === 7) { reply({ content: '  ' }); return; }
      if (which === 8) { reply({ content: 'It measures and measures' }, 'length'); return; }
      reply({ content: answer(messages) });
    });
  });
  await new Promise<void>((ready) => { server.listen(0, '127.0.0.1', ready); });
  servers.push(server);
  const { detail, report } = await fleet.run(specOf(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1`, 501));
  expect(detail.failure).toBeNull();
  expect(calls).toBeGreaterThan(24);
  expect([...paid.values()].every((times) => times === 1)).toBe(true);
  expect(paid.size).toBe(24);
  for (const key of ['teach-external', 'teach-improved']) {
    const { rowsIn, rowsOut, dropped } = stepOf(detail, key);
    expect(rowsIn).toBe(12);
    expect(rowsOut! + Object.values(dropped!).reduce((sum, n) => sum + n, 0)).toBe(12);
  }
  expect(report!.teacher!.calls).toBe(24);
  expect(detail.spent.calls).toBe(24);
});

test('a budget that is reached pauses the run; raised, it goes on, and nothing is asked twice', async () => {
  await using server = await startBatchServer({ answer: ({ messages }) => answer(messages) });
  // A call is charged 15 tokens, and needs room for its worst case.
  const { id } = await fleet.client.createRun(specOf(server.url, 502, { concurrency: 1, budget: { tokens: 300 } }));
  let run = await fleet.client.getRun(id);
  while (!['paused', 'failed', 'succeeded'].includes(run.state)) { await pause(200); run = await fleet.client.getRun(id); }
  expect([run.state, run.pauseReason]).toEqual(['paused', 'budget']);
  expect(run.spent.promptTokens + run.spent.completionTokens).toBeLessThanOrEqual(300);
  expect(run.spent.calls).toBeGreaterThan(0);
  const before = server.count('chat');

  expect((await fleet.call<{ code: string }>('POST', `/v1/runs/${id}/resume`, { budget: { tokens: 10 } })).body.code).toBe('RUN.BUDGET_SPENT');
  expect((await fleet.call<Run>('POST', `/v1/runs/${id}/resume`, { budget: { tokens: 100_000 } })).status).toBe(202);
  const { detail, report } = await fleet.wait(id);
  expect(detail.failure).toBeNull();
  expect(server.count('chat')).toBe(24);
  expect(before).toBeLessThan(24);
  expect([...server.paid.values()].every((times) => times === 1)).toBe(true);
  expect(report!.teacher!.budgetPauses).toBe(1);
  expect((await fleet.call<{ code: string }>('POST', `/v1/runs/${id}/resume`, {})).body.code).toBe('RUN.NOT_PAUSED');
});

test('batches: parts that fail are asked again, and a process that dies goes on with the batch it sent', async () => {
  const options: BatchServerOptions = {
    answer: ({ messages }) => answer(messages), polls: () => 4,
    // Of the first two batches a third is missing, and a third fails.
    outcome: ({ customId, batch }) => (batch > 1 ? 'answer' : (['answer', 'missing', 'server_error'] as const)[Number.parseInt(customId.slice(-4), 16) % 3] ?? 'answer'),
  };
  await using server = await startBatchServer(options);
  let killed = false;
  const { detail, report } = await fleet.run(specOf(server.url, 503, { mode: 'batch', price: { promptPerMillion: 10, completionPerMillion: 30 } }), () => {
    const pid = fleet.stack.pid('orchestrator');
    if (killed || pid === null || server.batches.length === 0) return;
    killed = true;
    process.kill(pid, 'SIGKILL');
  });
  expect(detail.failure).toBeNull();
  expect(killed).toBe(true);
  expect(server.count('chat')).toBe(0);
  expect([...server.paid.values()].every((times) => times === 1)).toBe(true);
  expect(server.paid.size).toBe(24);
  for (const key of ['teach-external', 'teach-improved']) expect(stepOf(detail, key)).toMatchObject({ rowsIn: 12, rowsOut: 12, dropped: {} });
  expect(detail.spent.calls).toBe(24);
  // Half the price of 24 × (10 + 5) tokens.
  expect(detail.spent.cost).toBeCloseTo(24 * (10 * 10 + 5 * 30) / 1e6 / 2, 9);
  expect(report!.teacher!.mode).toBe('batch');
});
