import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expandStudy } from '@sgpo/contracts';
import { presetNames } from '@sgpo/core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

const problem = (body: string): { status: number; code: string; problems: { field: string; message: string; fix: string; value?: unknown }[]; detail: string; remedy: string; requestId: string } => JSON.parse(body);

describe('POST /v1/runs', () => {
  it('creates a run: 201, its place, its state', async () => {
    const answer = await api.post(api.spec({ name: 'first' }));
    expect(answer.statusCode, answer.body).toBe(201);
    const run = answer.json();
    expect(run).toMatchObject({ name: 'first', preset: 'sgpo', state: 'queued', progress: { fraction: 0 }, failure: null });
    expect(answer.headers['location']).toBe(`/v1/runs/${String(run.id)}`);
    expect((await api.call({ url: String(answer.headers['location']) })).json()).toMatchObject({ id: run.id, spec: { seed: 0, preference: { beta: 0.01 } } });
  });

  it('takes every preset, and the filled spec of a run again', async () => {
    for (const { spec: body } of expandStudy({ name: 'all', base: api.base(), presets: presetNames }).runs) {
      const { preset } = body;
      const { id } = (await api.post(body)).json();
      const { spec } = (await api.call({ url: `/v1/runs/${String(id)}` })).json();
      expect((await api.post(spec)).statusCode, preset).toBe(201);
    }
  });

  it('with the same Idempotency-Key gives the same run: 200; with another body: 409', async () => {
    const headers = { 'idempotency-key': 'key-1' };
    const first = await api.post(api.spec({ seed: 1 }), headers);
    expect(first.statusCode).toBe(201);
    const { preset, ...rest } = api.spec({ seed: 1 });
    const again = await api.post({ ...rest, preset }, headers);
    expect([again.statusCode, again.json().id, again.headers['location']]).toEqual([200, first.json().id, first.headers['location']]);
    const other = await api.post(api.spec({ seed: 2 }), headers);
    expect([other.statusCode, other.json().code]).toEqual([409, 'RUN.IDEMPOTENCY_CONFLICT']);
  });

  it('with the same Idempotency-Key at once gives one run', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.post(api.spec({ seed: 3 }), { 'idempotency-key': 'key-2' })));
    expect(new Set(answers.map((answer) => answer.json().id)).size).toBe(1);
    expect(answers.filter((answer) => answer.statusCode === 201)).toHaveLength(1);
  });

  it.each([['', 'empty'], ['a b', 'a space'], ['x'.repeat(256), 'too long']])('refuses the Idempotency-Key %j (%s)', async (key) => {
    expect(problem((await api.post(api.spec(), { 'idempotency-key': key })).body)).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field: 'idempotency-key' }] });
  });

  it.each([
    ['broken JSON', '{"preset":', {}, 400, 'REQUEST.NOT_JSON'],
    ['no body', '', {}, 400, 'REQUEST.NOT_JSON'],
    ['a prototype key', '{"__proto__": {"preset": "sgpo"}}', {}, 400, 'REQUEST.NOT_JSON'],
    ['XML', '<a/>', { 'content-type': 'application/xml' }, 415, 'REQUEST.UNSUPPORTED_MEDIA_TYPE'],
    ['plain text', '{}', { 'content-type': 'text/plain' }, 415, 'REQUEST.UNSUPPORTED_MEDIA_TYPE'],
    ['300 KiB', JSON.stringify({ name: 'x'.repeat(300 * 1024) }), {}, 413, 'REQUEST.TOO_LARGE'],
    ['null', 'null', {}, 400, 'SPEC.INVALID'],
    ['a number', '1e999', {}, 400, 'SPEC.INVALID'],
  ])('%s is refused', async (_, body, headers, status, code) => {
    const answer = await api.post(body, headers);
    expect(problem(answer.body)).toMatchObject({ status, code });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(problem(answer.body).remedy).not.toBe('');
  });

  it.each([
    ['an unknown preset', { preset: 'sgpo3' }, 'SPEC.UNKNOWN_PRESET', 'preset'],
    ['an unknown key', { presets: 'x' }, 'SPEC.INVALID', 'presets'],
    ['a wrong type', { seed: '7' }, 'SPEC.INVALID', 'seed'],
    ['a contradiction', { improverTraining: { batchSize: 10 } }, 'SPEC.CONFLICT', 'improverTraining.microBatchSize'],
    ['a teacher with credentials', { teacher: { baseUrl: 'http://u:p@127.0.0.1:9/v1', model: 't' } }, 'SPEC.INVALID', 'teacher.baseUrl'],
    ['a teacher on the machine itself', { teacher: { baseUrl: 'http://127.0.0.1:22/v1', model: 't' } }, 'TEACHER.URL_NOT_ALLOWED', 'teacher.baseUrl'],
    ['a teacher called localhost', { teacher: { baseUrl: 'http://localhost:9/v1', model: 't' } }, 'TEACHER.URL_NOT_ALLOWED', 'teacher.baseUrl'],
    ['the metadata address', { teacher: { baseUrl: 'http://169.254.169.254/v1', model: 't' } }, 'TEACHER.URL_NOT_ALLOWED', 'teacher.baseUrl'],
    ['a loopback in disguise', { teacher: { baseUrl: 'http://[::ffff:127.0.0.1]:9/v1', model: 't' } }, 'TEACHER.URL_NOT_ALLOWED', 'teacher.baseUrl'],
    ['a loopback as one number', { teacher: { baseUrl: 'http://2130706433:22/v1', model: 't' } }, 'TEACHER.URL_NOT_ALLOWED', 'teacher.baseUrl'],
  ])('%s is refused', async (_, change, code, field) => {
    const answer = await api.post({ ...api.spec(), ...change });
    expect(problem(answer.body)).toMatchObject({ status: 400, code, problems: [{ field }] });
    expect(problem(answer.body).problems[0]!.fix).not.toBe('');
  });

  it('never repeats a key that was written into the spec', async () => {
    const { body } = await api.post({ ...api.spec(), teacher: { baseUrl: 'https://host/v1', model: 't', apiKey: 'sk-123456' } });
    expect(body).not.toContain('sk-123456');
    expect(problem(body)).toMatchObject({ code: 'SPEC.INVALID', problems: [{ field: 'teacher.apiKey' }] });
  });

  it('refuses data sets and models that cannot be used', async () => {
    const { root, outside } = api;
    await mkdir(join(root, 'no-files'));
    await writeFile(join(root, 'empty.jsonl'), '\n\n');
    await writeFile(join(root, 'broken.jsonl'), '{"prompt": "a", "response": "b"}\n{"prompt":');
    await writeFile(join(root, 'columns.jsonl'), '{"question": "a", "answer": "b"}\n');
    const data = (change: object) => ({ data: { ...api.spec().data, ...change } });
    const cases = [
      [data({ improver: { path: join(root, 'nope.jsonl') } }), 'DATASET.NOT_FOUND', 'data.improver.path'],
      [data({ policy: { path: join(outside, 'policy.jsonl') } }), 'DATASET.NOT_ALLOWED', 'data.policy.path'],
      [data({ policy: { path: join(root, '..', 'outside', 'policy.jsonl') } }), 'DATASET.NOT_ALLOWED', 'data.policy.path'],
      [data({ heldOut: { path: join(root, 'empty.jsonl') } }), 'DATASET.EMPTY', 'data.heldOut.path'],
      [data({ improver: { path: join(root, 'broken.jsonl'), malformed: 'fail' } }), 'DATASET.MALFORMED_LINE', 'data.improver.path'],
      [data({ improver: { path: join(root, 'columns.jsonl') } }), 'DATASET.WRONG_COLUMNS', 'data.improver.path'],
      [data({ improver: { path: join(root, 'no-files') } }), 'DATASET.EMPTY', 'data.improver.path'],
      [{ preset: 'dpo', data: { preferences: { path: join(root, 'policy.jsonl') } }, teacher: null }, 'DATASET.WRONG_COLUMNS', 'data.preferences.path'],
      [data({ sft: { path: join(root, 'nope.jsonl') } }), 'DATASET.NOT_FOUND', 'data.sft.path'],
      [{ model: { path: join(root, 'nope') } }, 'MODEL.NOT_FOUND', 'model.path'],
      [{ model: { path: join(outside, 'model') } }, 'MODEL.NOT_ALLOWED', 'model.path'],
      [{ model: { path: root } }, 'MODEL.INVALID_FOLDER', 'model.path'],
    ] as const;
    for (const [change, code, field] of cases) {
      const answer = await api.post({ ...api.spec(), ...change });
      expect(problem(answer.body), code).toMatchObject({ status: 400, code, problems: [{ field }] });
    }
    const { detail } = problem((await api.post({ ...api.spec(), ...cases[5]![0] })).body);
    expect(detail).toContain('question, answer');
  });
});

it('no value anywhere in a spec breaks the service', async () => {
  const full = (await api.call({ url: `/v1/runs/${await createRun(api)}` })).json().spec as Record<string, unknown>;
  const places = pathsOf({ ...full, data: { ...(full['data'] as object), heldOut: { path: join(api.root, 'heldout.jsonl'), limit: 1 } }, teacher: { ...(full['teacher'] as object), price: { promptPerMillion: 1, completionPerMillion: 1 } } });
  const values = fc.oneof(fc.jsonValue(), fc.constantFrom('\0', '\ud800', '../'.repeat(900), 'x'.repeat(4000), '/dev/zero', '/dev/stdin', '/proc/self/environ', '/', '.', 'http://[::1]/', 'https://\u2100.com/', -0, 1e308, 5e-324, 2 ** 53));
  await fc.assert(fc.asyncProperty(fc.constantFrom(...places), values, async (place, value) => {
    const body = structuredClone(full);
    let at: Record<string, unknown> = body;
    for (const key of place.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[place.at(-1)!] = value;
    const answer = await api.post(body);
    expect(answer.statusCode, answer.body).toBeLessThan(500);
    if (answer.statusCode >= 400) expect(problem(answer.body).remedy).not.toBe('');
  }), { numRuns: 250 });
}, 60_000);

/** Every place in a tree of objects. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return [...(path.length === 0 ? [] : [path]), ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

describe('GET /v1/runs', () => {
  it('pages through every run once, newest first', async () => {
    const created = [];
    for (let n = 0; n < 5; n += 1) created.push(await createRun(api));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = (await api.call({ url: `/v1/runs?limit=2${cursor === null ? '' : `&cursor=${cursor}`}` })).json() as { runs: { id: string }[]; next: string | null };
      expect(page.runs.length).toBeLessThanOrEqual(2);
      seen.push(...page.runs.map((run) => run.id));
      cursor = page.next;
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.slice(0, 5)).toEqual(created.toReversed());
    expect(seen).toEqual(seen.toSorted().toReversed());
  });

  it('filters by state', async () => {
    const id = await createRun(api);
    await api.database.runs.start(id);
    const page = (await api.call({ url: '/v1/runs?state=running' })).json();
    expect(page.runs.map((run: { id: string; state: string }) => [run.id, run.state])).toEqual([[id, 'running']]);
  });

  it.each([['limit=0', 'limit'], ['limit=101', 'limit'], ['limit=x', 'limit'], ['limit=1.5', 'limit'], ['state=done', 'state'], ['cursor=xyz', 'cursor'], ['cursor=MTo', 'cursor'], ['page=2', 'page'], ['limit=1&limit=2', 'limit']])(
    '%s: 400 naming it', async (query, field) => {
      expect(problem((await api.call({ url: `/v1/runs?${query}` })).body)).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field }] });
    },
  );
});

describe('POST /v1/runs/{id}/cancel', () => {
  it('cancels once and stays canceled: 202', async () => {
    const id = await createRun(api);
    for (let n = 0; n < 2; n += 1) {
      const answer = await api.call({ method: 'POST', url: `/v1/runs/${id}/cancel` });
      expect([answer.statusCode, answer.json().state]).toEqual([202, 'canceling']);
    }
    await api.database.runs.finishCancel(id);
    const answer = await api.call({ method: 'POST', url: `/v1/runs/${id}/cancel` });
    expect([answer.statusCode, answer.json().state]).toEqual([202, 'canceled']);
  });

  it('of a run that has ended: 409', async () => {
    const id = await createRun(api);
    await api.database.runs.start(id);
    await api.database.runs.fail(id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
    expect(problem((await api.call({ method: 'POST', url: `/v1/runs/${id}/cancel` })).body)).toMatchObject({ status: 409, code: 'RUN.FINISHED' });
    expect((await api.call({ url: `/v1/runs/${id}` })).json()).toMatchObject({ state: 'failed', failure: { code: 'WORKER.FAILED', message: 'm', remedy: 'r' } });
  });
});
