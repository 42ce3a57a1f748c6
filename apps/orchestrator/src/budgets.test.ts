import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Budget, EndpointTeacher, Plan, RunId, RunSpec } from '@sgpo/core';
import type { Reservation, Tokens } from '@sgpo/llm';
import { createBudgets, type Budgets } from './budgets.ts';
import { openBed, type Bed } from './testing/bed.ts';

let bed: Bed;
beforeAll(async () => { bed = await openBed(); });
afterAll(() => bed.close());

const teacher: EndpointTeacher = {
  source: 'endpoint', baseUrl: 'https://api.openai.com/v1', model: 'gpt-4o-2024-08-06', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 8, seed: 1, mode: 'requests', concurrency: 1,
  timeoutSeconds: 1, maxAttempts: 1, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null, budget: { tokens: null, cost: null },
};
const plan: Plan = { steps: [{ key: 'report', kind: 'report', title: '', space: null, inputs: {}, parameters: {} }], models: [] };
const never = new AbortController().signal;
const call = (promptTokens: number, completionTokens: number): Tokens => ({ promptTokens, completionTokens });

async function runWith(budget: Budget): Promise<RunId> {
  const id = await bed.run({ name: null, preset: 'sgpo', teacher: { ...teacher, budget }, execution: { cache: false } } as unknown as RunSpec, plan);
  await bed.services.database.runs.start(id);
  return id;
}
let keys = 0;
/** An answer that was paid for. */
async function pay(id: RunId, { promptTokens, completionTokens }: Tokens, reservation: Reservation): Promise<void> {
  keys += 1;
  await bed.services.database.ledger.record(keys.toString(16).padStart(64, '0'), 'm', { text: 'a', finishReason: 'stop', promptTokens, completionTokens }, id);
  reservation.settle();
}
const budgets = (): Budgets => createBudgets({ database: bed.services.database });

describe('the gate of a run', () => {
  test('lets calls through until the worst of the next would not fit', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const gate = budgets().gateOf(id, teacher);
    for (let nth = 0; nth < 4; nth += 1) await pay(id, call(10, 10), await gate.reserve(call(10, 30), never));
    await expect(gate.reserve(call(10, 30), never)).rejects.toMatchObject({
      code: 'TEACHER.BUDGET_REACHED', message: expect.stringMatching(/^teacher\.budget of 100 tokens: 80 tokens \(0\.0005 .*\) are spent, and the next call may take 40 tokens/) as string,
      remedy: expect.stringContaining(`POST /v1/runs/${id}/resume`) as string,
    });
    await pay(id, call(10, 10), await gate.reserve(call(10, 10), never));
  });

  test('counts in currency by the price table, in a batch half', async () => {
    const id = await runWith({ tokens: null, cost: 0.002 });
    // 200 tokens of answer at 10 a million: 0.002.
    const { database } = bed.services;
    const requests = createBudgets({ database }).gateOf(id, teacher);
    expect(await requests.reserveFirst([call(0, 100), call(0, 100), call(0, 100)])).toHaveLength(2);
    const batch = createBudgets({ database }).gateOf(id, { ...teacher, mode: 'batch' });
    expect(await batch.reserveFirst(Array.from({ length: 9 }, () => call(0, 100)))).toHaveLength(4);
  });

  test('is one for all shards, and waits while others may leave room', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const all = budgets();
    const [first, second] = [all.gateOf(id, teacher), all.gateOf(id, teacher)];
    const held = await first.reserve(call(0, 90), never);
    const order: string[] = [];
    const waiting = second.reserve(call(0, 50), never).then((reservation) => { order.push('granted'); return reservation; });
    await new Promise((resolve) => { setTimeout(resolve, 60); });
    expect(order).toEqual([]);
    await pay(id, call(0, 20), held);
    const granted = await waiting;
    const third = second.reserve(call(0, 50), never);
    granted.settle();
    granted.settle();
    (await third).settle();
  });

  test('says so when what was on its way leaves no room', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const gate = budgets().gateOf(id, teacher);
    const held = await gate.reserve(call(0, 90), never);
    const waiting = gate.reserve(call(0, 50), never);
    await pay(id, call(0, 60), held);
    await expect(waiting).rejects.toMatchObject({ code: 'TEACHER.BUDGET_REACHED' });
  });

  test('stops waiting when its signal aborts', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const gate = budgets().gateOf(id, teacher);
    await gate.reserve(call(0, 90), never);
    const stop = new AbortController();
    setTimeout(() => { stop.abort(new Error('canceled')); }, 20);
    await expect(gate.reserve(call(0, 50), stop.signal)).rejects.toThrow('canceled');
  });

  test.each([[60, false], [10, true]])('looks again when something is settled while it looks: after an answer of %d tokens another call of 60 of 100 is let through: %s', async (used, granted) => {
    const id = await runWith({ tokens: 100, cost: null });
    const { runs, ledger } = bed.services.database;
    let meanwhile = (): Promise<void> => Promise.resolve();
    const slow = { runs, ledger: { ...ledger, spent: async (run: RunId) => { const spent = await ledger.spent(run); await meanwhile(); return spent; } } };
    const gate = createBudgets({ database: slow }).gateOf(id, teacher);
    const held = await gate.reserve(call(0, 60), never);
    meanwhile = () => { meanwhile = () => Promise.resolve(); return pay(id, call(0, used), held); };
    const outcome = await gate.reserve(call(0, 60), never).then(() => 'granted', (error: unknown) => (error as { code: string }).code);
    expect(outcome).toBe(granted ? 'granted' : 'TEACHER.BUDGET_REACHED');
  });

  test('sees a budget that was raised', async () => {
    const id = await runWith({ tokens: 10, cost: null });
    const { runs } = bed.services.database;
    const gate = budgets().gateOf(id, teacher);
    await expect(gate.reserve(call(0, 50), never)).rejects.toMatchObject({ code: 'TEACHER.BUDGET_REACHED' });
    await runs.pause(id, 'budget');
    await runs.resume(id, { tokens: 100, cost: null });
    await gate.reserve(call(0, 50), never);
  });

  test('takes an answer without counted tokens at its worst', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const gate = budgets().gateOf(id, teacher);
    (await gate.reserve(call(0, 60), never)).settle('uncounted');
    await expect(gate.reserve(call(0, 60), never)).rejects.toMatchObject({ message: expect.stringContaining('60 tokens') as string });
  });

  test('books what an earlier process sent, whether it fits or not', async () => {
    const id = await runWith({ tokens: 100, cost: null });
    const gate = budgets().gateOf(id, teacher);
    const held = gate.hold(call(0, 500));
    expect(await gate.reserveFirst([call(0, 1)])).toEqual([]);
    held.settle();
    expect(await gate.reserveFirst([call(0, 1)])).toHaveLength(1);
  });

  test('refuses a budget in currency where nobody knows the price, and lets all through without a budget', async () => {
    const unknown = { ...teacher, model: 'nobody' };
    await expect(budgets().gateOf(await runWith({ tokens: null, cost: 1 }), unknown).reserve(call(1, 1), never)).rejects.toMatchObject({ code: 'SPEC.CONFLICT', message: expect.stringContaining('"nobody"') as string });
    expect(await budgets().gateOf(await runWith({ tokens: null, cost: null }), unknown).reserveFirst([call(1e9, 1e9), call(1e9, 1e9)])).toHaveLength(2);
  });

  test('is never exceeded, however many ask at once', async () => {
    const id = await runWith({ tokens: 1000, cost: null });
    const all = budgets();
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, async (_, nth) => {
      const reservation = await all.gateOf(id, teacher).reserve(call(10, 40), never);
      await new Promise((resolve) => { setTimeout(resolve, nth % 7); });
      await pay(id, call(10, 10 + (nth % 31)), reservation);
    }));
    const { promptTokens, completionTokens, calls } = await bed.services.database.ledger.spent(id);
    expect(promptTokens + completionTokens).toBeLessThanOrEqual(1000);
    // What is left is less than the worst of one call.
    expect(promptTokens + completionTokens).toBeGreaterThan(1000 - 50);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(calls);
  });
});
