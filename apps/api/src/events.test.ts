import type { RunEvent } from '@sgpo/contracts';
import type { RunId } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun, finishStep, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
let address: string;
beforeAll(async () => {
  api = await openTestApi();
  address = await api.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => { await api.close(); });

const open = (id: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(`${address}/v1/runs/${id}/events`, { headers: { authorization: `Bearer ${api.token}`, accept: 'text/event-stream', ...headers }, ...(signal === undefined ? {} : { signal }) });

const parse = (text: string): RunEvent[] => text.split('\n\n').filter((block) => block.includes('data: ')).map((block) => {
  const field = (name: string): string => block.split('\n').find((line) => line.startsWith(`${name}: `))!.slice(name.length + 2);
  const event = JSON.parse(field('data')) as RunEvent;
  expect([field('id'), field('event')]).toEqual([String(event.sequence), event.type]);
  return event;
});

const sequences = (events: readonly RunEvent[]): number[] => events.map((event) => event.sequence);
const upTo = (last: number, from = 1): number[] => Array.from({ length: last - from + 1 }, (_, index) => from + index);
const lastOf = async (id: RunId): Promise<number> => (await api.database.runs.get(id))!.eventSequence;

async function endedRun(): Promise<RunId> {
  const id = await createRun(api);
  await api.database.runs.start(id);
  await finishStep(api, id, 'filter', { 'rows.parquet': 'x' }, 'table');
  await api.database.runs.fail(id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
  return id;
}

describe('pages of events', () => {
  it('give every event once, and say when nothing can follow', async () => {
    const id = await endedRun();
    const last = await lastOf(id);
    const seen: number[] = [];
    for (let after = 0, ended = false; !ended;) {
      const page = (await api.call({ url: `/v1/runs/${id}/events?after=${String(after)}&limit=2` })).json();
      seen.push(...sequences(page.events));
      expect(page.last).toBe(seen.at(-1));
      ({ last: after, ended } = page);
    }
    expect(seen).toEqual(upTo(last));
    expect((await api.call({ url: `/v1/runs/${id}/events?after=${String(last)}` })).json()).toEqual({ events: [], last, ended: true });
  });

  it('of a living run do not end', async () => {
    const id = await createRun(api);
    expect((await api.call({ url: `/v1/runs/${id}/events` })).json()).toMatchObject({ events: [{ sequence: 1, type: 'run.created' }], ended: false });
  });

  it.each([['after=-1', 'after'], ['after=x', 'after'], ['limit=0', 'limit'], ['limit=1001', 'limit'], ['aftr=1', 'aftr']])('%s: 400 naming it', async (query, field) => {
    const id = await createRun(api);
    expect((await api.call({ url: `/v1/runs/${id}/events?${query}` })).json()).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field }] });
  });
});

describe('a stream of events', () => {
  it('replays, goes on live, and ends behind the last event', async () => {
    const id = await createRun(api);
    const answer = await open(id);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    const text = answer.text();
    await api.database.runs.start(id);
    await finishStep(api, id, 'filter', { 'rows.parquet': 'x' }, 'table');
    await api.database.runs.fail(id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
    expect(sequences(parse(await text))).toEqual(upTo(await lastOf(id)));
  });

  it('goes on behind Last-Event-ID, and answers 204 when nothing is left', async () => {
    const id = await endedRun();
    const last = await lastOf(id);
    expect(sequences(parse(await (await open(id, { 'last-event-id': '2' })).text()))).toEqual(upTo(last, 3));
    expect((await open(id, { 'last-event-id': String(last) })).status).toBe(204);
    expect((await (await open(id, { 'last-event-id': 'x' })).json())).toMatchObject({ status: 400, problems: [{ field: 'last-event-id' }] });
  });

  it('carries more events than are read at once', async () => {
    const id = await createRun(api);
    await api.database.runs.start(id);
    const step = (await api.database.runs.tree(id))!.steps[0]!;
    await api.database.steps.begin(step.id);
    await api.database.tasks.markReady(step.tasks[0]!.id, { cacheKey: id.padEnd(64, '0').slice(0, 64), spec: {}, inputs: [], share: false });
    const attempt = await api.database.attempts.claimLocal({ taskId: step.tasks[0]!.id, holder: 'test', holdMs: 60_000 });
    await api.database.attempts.report(attempt!.id, { lastSequence: 0, events: Array.from({ length: 450 }, (_, n) => ({ type: 'task.log' as const, data: { n, text: 'two\nlines' } })) });
    await api.database.runs.fail(id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
    expect(sequences(parse(await (await open(id)).text()))).toEqual(upTo(await lastOf(id)));
  });

  it('of a run there is not: 404 as a problem', async () => {
    const answer = await open('run_nope');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
  });

  it('that nobody reads any more leaves the server free', async () => {
    const id = await createRun(api);
    const controller = new AbortController();
    await open(id, {}, controller.signal);
    controller.abort();
    expect((await api.call({ url: '/healthz' })).statusCode).toBe(200);
  });

  it('ends when the server stops', async () => {
    const own = await openTestApi();
    const listening = await own.app.listen({ host: '127.0.0.1', port: 0 });
    const id = await createRun(own);
    const answer = await fetch(`${listening}/v1/runs/${id}/events`, { headers: { authorization: `Bearer ${own.token}`, accept: 'text/event-stream' } });
    const text = answer.text();
    const before = Date.now();
    await own.close();
    expect(sequences(parse(await text))).toEqual([1]);
    expect(Date.now() - before).toBeLessThan(5000);
  });
});
