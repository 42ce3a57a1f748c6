import type { RunId } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

const teacher = { baseUrl: 'http://127.0.0.1:9/v1', model: 't', price: { promptPerMillion: 500_000, completionPerMillion: 1_000_000 }, budget: { tokens: 100 } };
let key = 0;

/** A paused run that was charged 70 prompt and 30 completion tokens: 65 in currency. */
async function pausedRun(change: object = {}): Promise<RunId> {
  const id = await createRun(api, api.teamId, { teacher: { ...teacher, ...change } });
  await api.database.runs.start(id);
  await api.database.ledger.record(`key ${String(key += 1)}`.padEnd(64, '-'), 't', { text: 'a', finishReason: 'stop', promptTokens: 70, completionTokens: 30 }, id);
  await api.database.runs.pause(id, 'budget');
  return id;
}
const resume = (id: string, body?: unknown) => (body === undefined ? api.call({ method: 'POST', url: `/v1/runs/${id}/resume` }) : api.post(body, {}, `/v1/runs/${id}/resume`));

describe('a paused run', () => {
  it('shows why, its budget and what it was charged', async () => {
    const id = await pausedRun();
    expect((await api.call({ url: `/v1/runs/${id}` })).json()).toMatchObject({
      state: 'paused', pauseReason: 'budget', budget: { tokens: 100, cost: null }, spent: { calls: 1, promptTokens: 70, completionTokens: 30, cost: 65 }, progress: { fraction: 0 },
    });
    expect((await api.call({ url: '/v1/runs?state=paused' })).json().runs).toMatchObject([{ id, pauseReason: 'budget' }]);
  });

  it('does not know a cost without a price', async () => {
    const id = await pausedRun({ price: null });
    expect((await api.call({ url: `/v1/runs/${id}` })).json().spent.cost).toBeNull();
  });

  it('goes on with a larger budget: 202', async () => {
    const id = await pausedRun();
    const answer = await resume(id, { budget: { tokens: 101 } });
    expect(answer.statusCode, answer.body).toBe(202);
    expect(answer.json()).toMatchObject({ id, state: 'running', pauseReason: null, budget: { tokens: 101, cost: null } });
    expect((await resume(id, {})).json()).toMatchObject({ status: 409, code: 'RUN.NOT_PAUSED' });
  });

  it('goes on without a limit, or in another measure', async () => {
    expect((await resume(await pausedRun(), { budget: { tokens: null } })).json()).toMatchObject({ state: 'running', budget: { tokens: null, cost: null } });
    expect((await resume(await pausedRun(), { budget: { tokens: null, cost: 66 } })).json()).toMatchObject({ state: 'running', budget: { tokens: null, cost: 66 } });
    // A limit is lifted by null alone: one that is left out stays.
    expect((await resume(await pausedRun(), { budget: { tokens: 500 } })).json()).toMatchObject({ budget: { tokens: 500, cost: null } });
  });

  it.each([
    ['without a body', undefined, 'budget.tokens'], ['with an empty body', {}, 'budget.tokens'], ['with an empty budget', { budget: {} }, 'budget.tokens'], ['with another limit alone', { budget: { cost: 70 } }, 'budget.tokens'], ['with what was spent', { budget: { tokens: 100 } }, 'budget.tokens'], ['with a cost below it', { budget: { tokens: null, cost: 65 } }, 'budget.cost'],
  ])('is not resumed while its budget is spent: %s', async (_, body, field) => {
    const id = await pausedRun();
    expect((await resume(id, body)).json()).toMatchObject({ status: 409, code: 'RUN.BUDGET_SPENT', problems: [{ field }] });
    expect((await api.database.runs.get(id))?.state).toBe('paused');
  });

  it.each([
    ['a wrong amount', { budget: { tokens: 0 } }, 'budget.tokens'], ['an unknown key', { tokens: 5 }, 'tokens'], ['a list', [], 'body'], ['a text', { budget: 'much' }, 'budget'],
  ])('refuses %s', async (_, body, field) => {
    expect((await resume(await pausedRun(), body)).json()).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field }] });
  });

  it('refuses a budget in currency where no price is known', async () => {
    expect((await resume(await pausedRun({ price: null }), { budget: { tokens: null, cost: 5 } })).json()).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field: 'budget.cost' }] });
  });

  it('of another team is not there; one that runs is not paused', async () => {
    const other = await createRun(api, await api.database.tokens.ensureTeam('other'));
    expect((await resume(other, {})).json()).toMatchObject({ status: 404, code: 'RUN.NOT_FOUND' });
    expect((await resume(await createRun(api), {})).json()).toMatchObject({ status: 409, code: 'RUN.NOT_PAUSED' });
  });

  it('can be canceled', async () => {
    const answer = await api.call({ method: 'POST', url: `/v1/runs/${await pausedRun()}/cancel` });
    expect([answer.statusCode, answer.json().state]).toEqual([202, 'canceling']);
  });
});
