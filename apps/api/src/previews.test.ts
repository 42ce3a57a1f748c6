import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PreviewResult, RunId } from '@sgpo/core';
import { renderPreview } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from './app.ts';
import { finishStep, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

const result: PreviewResult = {
  rows: [{
    space: 'policy', id: 'ab', prompt: [{ role: 'user', content: 'q' }], reference: 'r', draft: null, improved: null, external: null, chosen: 'c', rejected: 'y',
    perplexity: { improved: null, external: null }, verdicts: { pair: 'kept' },
  }],
  spent: { calls: 1, promptTokens: 2, completionTokens: 3, cost: null }, notes: ['note'],
};
const preview = (query = '') => api.post(api.spec({ seed: 11 }), {}, `/v1/runs:preview${query}`);

/** What the orchestrator does for a preview: here, only the step that matters. */
async function finishPreview(id: RunId): Promise<void> {
  await api.database.runs.start(id);
  await finishStep(api, id, 'preview', { 'preview.json': JSON.stringify(result), 'preview.md': renderPreview(result) });
}

async function newestRun(): Promise<RunId> {
  for (let n = 0; n < 200; n += 1) {
    const [run] = await api.database.runs.list({ teamId: api.teamId, limit: 1, before: null, state: 'queued' });
    if (run !== undefined) return run.id;
    await sleep(10);
  }
  throw new Error('no run was made');
}
const endAll = async () => { for (const { id } of await api.database.runs.list({ teamId: api.teamId, limit: 100, before: null, state: 'queued' })) { await api.database.runs.requestCancel(id); await api.database.runs.finishCancel(id); } };

describe('POST /v1/runs:preview', () => {
  it('makes a small run without any training, and answers 202 when it is not waited for', async () => {
    const answer = await preview('?rows=2&waitSeconds=0');
    expect(answer.statusCode, answer.body).toBe(202);
    const { run, result: none } = answer.json();
    expect([run.preview, run.state, none]).toEqual([true, 'queued', null]);
    const { steps, spec } = (await api.call({ url: String(answer.headers['location']) })).json();
    expect(spec.preview).toEqual({ rows: 2 });
    expect(steps.map(({ kind }: { kind: string }) => kind)).not.toContain('sft');
    expect(steps.at(-1).kind).toBe('preview');
    await endAll();
  });

  it('is refused for conversations alone: there is nothing to show', async () => {
    const answer = await api.post({ preset: 'sft', model: { path: 'm' }, data: { sft: { path: 's' } } }, {}, '/v1/runs:preview');
    expect([answer.statusCode, answer.json().code, answer.json().problems[0].field]).toEqual([400, 'SPEC.CONFLICT', 'preview']);
  });

  it('answers with the failure of the run in its body', async () => {
    const answering = preview();
    const id = await newestRun();
    await api.database.runs.start(id);
    await api.database.runs.fail(id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
    const answer = await answering;
    expect([answer.statusCode, answer.json().run.failure.code, answer.json().result]).toEqual([200, 'WORKER.FAILED', null]);
  });

  it('answers with the result once the run has ended', async () => {
    // Given pairs: every step of the preview is local, so that this test can do them.
    const answering = api.post({ ...api.spec(), preset: 'dpo', teacher: null, data: { preferences: { path: join(api.root, 'preferences.jsonl') } } }, {}, '/v1/runs:preview?rows=1');
    const id = await newestRun();
    await api.database.runs.start(id);
    for (const key of ['import-model', 'ingest-preferences', 'pair-r1']) await finishStep(api, id, key, { 'a.txt': key });
    await finishStep(api, id, 'preview', { 'preview.json': JSON.stringify(result) });
    expect(await api.database.runs.succeed(id)).toBe(true);
    const answer = await answering;
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.json()).toMatchObject({ run: { id, state: 'succeeded', preview: true }, result });
  });

  it('does not wait for a run that is paused', async () => {
    const answering = preview();
    const id = await newestRun();
    await api.database.runs.start(id);
    await api.database.runs.pause(id, 'budget');
    const answer = await answering;
    expect([answer.statusCode, answer.json().run.pauseReason]).toEqual([202, 'budget']);
  });

  it('stops waiting when the caller has gone; the run goes on', async () => {
    let looks = 0;
    const { runs } = api.database;
    const database = { ...api.database, runs: { ...runs, get: (...input: Parameters<typeof runs.get>) => { looks += 1; return runs.get(...input); } } };
    const app = await buildApp({ database, store: api.store, dataRoots: [api.root], allowedHosts: ['127.0.0.1:9'], environment: {}, cacheFolder: '/nowhere', eventPollMs: 5 }, { logLevel: 'silent' });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/v1/runs:preview?waitSeconds=240', headers: { 'authorization': `Bearer ${api.token}`, 'content-type': 'application/json' } });
    request.on('error', () => undefined);
    request.end(JSON.stringify(api.spec({ seed: 12 })));
    const id = await newestRun();
    while (looks < 3) await sleep(5);
    request.destroy();
    await sleep(100);
    const seen = looks;
    await sleep(100);
    expect(looks).toBe(seen);
    expect((await runs.get(id))?.state).toBe('queued');
    await app.close();
    await endAll();
  });

  it('stops waiting when the server stops', async () => {
    const app = await buildApp({ database: api.database, store: api.store, dataRoots: [api.root], allowedHosts: ['127.0.0.1:9'], environment: {}, cacheFolder: '/nowhere', eventPollMs: 5 }, { logLevel: 'silent' });
    const answering = app.inject({ method: 'POST', url: '/v1/runs:preview?waitSeconds=240', headers: { 'authorization': `Bearer ${api.token}`, 'content-type': 'application/json' }, payload: JSON.stringify(api.spec({ seed: 13 })) });
    const id = await newestRun();
    await app.close();
    const answer = await answering;
    expect([answer.statusCode, answer.json().run.id]).toEqual([202, id]);
    await endAll();
  });

  it.each([['rows=0', 'rows'], ['rows=257', 'rows'], ['waitSeconds=241', 'waitSeconds'], ['row=1', 'row']])('refuses %s', async (query, field) => {
    expect((await preview(`?${query}`)).json()).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field }] });
  });

  it('refuses what a run would be refused for', async () => {
    expect((await api.post({ ...api.spec(), model: { path: '/nope' } }, {}, '/v1/runs:preview')).json()).toMatchObject({ code: 'MODEL.NOT_ALLOWED' });
    expect((await api.post({ ...api.spec(), preset: 'x' }, {}, '/v1/runs:preview')).json()).toMatchObject({ code: 'SPEC.UNKNOWN_PRESET' });
  });
});

describe('the report of a preview', () => {
  it('is its result, as JSON or Markdown', async () => {
    const { run } = (await preview('?waitSeconds=0')).json();
    const url = `/v1/runs/${String(run.id)}/report`;
    expect((await api.call({ url })).json()).toMatchObject({ code: 'RUN.NO_REPORT' });
    await finishPreview(run.id);
    expect((await api.call({ url })).json()).toEqual(result);
    expect((await api.call({ url, headers: { accept: 'text/markdown' } })).body).toContain('# Preview');
  });
});
