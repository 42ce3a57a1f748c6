import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TeamId } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

const body = (change: object = {}) => ({ name: 'mix', source: { path: join(api.root, 'policy.jsonl') }, as: 'policy', ...change });
const register = (change: object = {}) => api.post(body(change), {}, '/v1/datasets');
const sha256 = 'ab'.repeat(32);

/** What the orchestrator does about a registration. */
async function finish(name: string, teamId: TeamId = api.teamId): Promise<void> {
  const row = await api.database.datasets.find(teamId, name);
  if (row === null) throw new Error(`no data set ${name}`);
  await api.database.datasets.finish(row.id, {
    schema: { format: 'prompt-response', columns: ['prompt', 'response'] }, counts: { rowsIn: 3, rowsOut: 2, dropped: { empty_prompt: 1 }, flagged: { zero_width: 1 } }, sha256, preview: [{ id: 'a' }],
  });
}

describe('POST /v1/datasets', () => {
  it('takes a data set in: 202, its place, its record', async () => {
    const answer = await register({ name: 'first', license: 'CC-BY-4.0' });
    expect(answer.statusCode, answer.body).toBe(202);
    expect(answer.json()).toMatchObject({ name: 'first', state: 'registering', as: 'policy', license: 'CC-BY-4.0', source: { path: join(api.root, 'policy.jsonl'), limit: null }, schema: null, counts: null, sha256: null, failure: null });
    await finish('first');
    expect((await api.call({ url: String(answer.headers['location']) })).json()).toMatchObject({
      name: 'first', state: 'ready', schema: { format: 'prompt-response', columns: ['prompt', 'response'] }, counts: { rowsIn: 3, rowsOut: 2, dropped: { empty_prompt: 1 }, flagged: { zero_width: 1 } }, sha256, preview: [{ id: 'a' }],
    });
  });

  it('refuses a name that is taken, and takes that of a failed one', async () => {
    await register({ name: 'taken' });
    expect((await register({ name: 'taken' })).json()).toMatchObject({ status: 409, code: 'DATASET.NAME_TAKEN' });
    const row = await api.database.datasets.find(api.teamId, 'taken');
    await api.database.datasets.fail(row!.id, { code: 'DATASET.EMPTY', message: 'no rows', remedy: 'give rows' });
    expect((await api.call({ url: '/v1/datasets/taken' })).json()).toMatchObject({ state: 'failed', failure: { code: 'DATASET.EMPTY' } });
    expect((await register({ name: 'taken' })).statusCode).toBe(202);
  });

  it.each([
    ['a missing file', () => ({ source: { path: join(api.root, 'nope') } }), 'DATASET.NOT_FOUND', 'source.path'],
    ['a file elsewhere', () => ({ source: { path: join(api.outside, 'policy.jsonl') } }), 'DATASET.NOT_ALLOWED', 'source.path'],
    ['rows of another use', () => ({ as: 'preferences' }), 'DATASET.WRONG_COLUMNS', 'source.path'],
    ['a wrong name', () => ({ name: '../x' }), 'REQUEST.INVALID', 'name'],
    ['no source', () => ({ source: undefined }), 'REQUEST.INVALID', 'source'],
  ])('refuses %s', async (_, change, code, field) => {
    expect((await register({ name: 'refused', ...change() })).json()).toMatchObject({ code, problems: [{ field }] });
    expect((await api.call({ url: '/v1/datasets/refused' })).json()).toMatchObject({ status: 404, code: 'DATASET.UNKNOWN' });
  });
});

it('GET /v1/datasets pages through all of the team, newest first', async () => {
  for (const name of ['page-1', 'page-2', 'page-3']) await register({ name });
  const first = (await api.call({ url: '/v1/datasets?limit=2' })).json();
  expect(first.datasets.map(({ name }: { name: string }) => name)).toEqual(['page-3', 'page-2']);
  expect((await api.call({ url: `/v1/datasets?limit=2&cursor=${String(first.next)}` })).json().datasets[0].name).toBe('page-1');
});

describe('a registered data set in a spec', () => {
  const withSet = (source: object) => api.post(api.spec({ data: { ...api.spec().data, policy: source } }));

  it('is filled in with its digest, and the filled spec is a spec again', async () => {
    await register({ name: 'ready' });
    await finish('ready');
    const { id } = (await withSet({ dataset: 'ready', limit: 2 })).json();
    const { spec } = (await api.call({ url: `/v1/runs/${String(id)}` })).json();
    expect(spec.data.policy).toMatchObject({ path: null, dataset: 'ready', limit: 2, sha256 });
    expect((await api.post(spec)).statusCode).toBe(201);
    expect((await withSet({ dataset: 'ready', sha256: 'cd'.repeat(32) })).json()).toMatchObject({ status: 409, code: 'DATASET.CHANGED', problems: [{ field: 'data.policy.sha256' }] });
  });

  it('is refused while it is read, when it failed, and when there is none', async () => {
    await register({ name: 'reading' });
    expect((await withSet({ dataset: 'reading' })).json()).toMatchObject({ status: 409, code: 'DATASET.NOT_READY', problems: [{ field: 'data.policy.dataset' }] });
    const row = await api.database.datasets.find(api.teamId, 'reading');
    await api.database.datasets.fail(row!.id, { code: 'DATASET.EMPTY', message: 'no rows at all', remedy: 'give rows' });
    expect((await withSet({ dataset: 'reading' })).json()).toMatchObject({ code: 'DATASET.NOT_READY', detail: expect.stringContaining('no rows at all'), remedy: 'give rows' });
    expect((await withSet({ dataset: 'nobody' })).json()).toMatchObject({ status: 404, code: 'DATASET.UNKNOWN', problems: [{ field: 'data.policy.dataset' }] });
  });

  it('whose file is gone is refused with its place', async () => {
    await writeFile(join(api.root, 'gone.jsonl'), '{"prompt": "a", "response": "b"}\n');
    await register({ name: 'gone', source: { path: join(api.root, 'gone.jsonl') } });
    await finish('gone');
    await rm(join(api.root, 'gone.jsonl'));
    expect((await withSet({ dataset: 'gone' })).json()).toMatchObject({ code: 'DATASET.NOT_FOUND', problems: [{ field: 'data.policy.dataset.path' }] });
  });

  it('of another team is not there', async () => {
    const other = await api.database.tokens.ensureTeam('other');
    const source = { path: join(api.root, 'policy.jsonl'), hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null } as const;
    await api.database.datasets.create({ teamId: other, name: 'theirs', space: 'policy', source, license: null });
    await finish('theirs', other);
    expect((await withSet({ dataset: 'theirs' })).json()).toMatchObject({ status: 404, code: 'DATASET.UNKNOWN' });
    expect((await api.call({ url: '/v1/datasets/theirs' })).statusCode).toBe(404);
    expect((await api.call({ url: '/v1/datasets?limit=100' })).json().datasets.map(({ name }: { name: string }) => name)).not.toContain('theirs');
    expect((await register({ name: 'theirs' })).statusCode).toBe(202);
  });
});
