import { presetNames } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishSmallRun, openTestApi, smallRun } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

const study = (change: object = {}) => ({ name: 'table 3', base: api.base(), presets: ['sgpo', 'spin'], seeds: [1, 2], ...change });
const create = (body: unknown, headers: Record<string, string> = {}) => api.post(body, headers, '/v1/studies');
interface Shown { readonly id: string; readonly state: string; readonly runs: { readonly id: string; readonly state: string; readonly preset: string; readonly study: { readonly id: string; readonly label: string; readonly seed: number } }[] }

describe('POST /v1/studies', () => {
  it('starts every run of the study: 201', async () => {
    const answer = await create(study());
    expect(answer.statusCode, answer.body).toBe(201);
    const made = answer.json() as Shown;
    expect(made).toMatchObject({ name: 'table 3', state: 'running' });
    expect(made.runs.map(({ preset, study: { id, label, seed } }) => [preset, label, seed, id === made.id])).toEqual([['sgpo', 'sgpo', 1, true], ['sgpo', 'sgpo', 2, true], ['spin', 'spin', 1, true], ['spin', 'spin', 2, true]]);
    expect((await api.call({ url: String(answer.headers['location']) })).json()).toEqual(made);
    expect((await api.call({ url: `/v1/runs/${made.runs[2]!.id}` })).json()).toMatchObject({ study: { id: made.id, label: 'spin', model: api.spec().model.path, seed: 1 }, spec: { preset: 'spin', seed: 1, teacher: null } });
  });

  it('holds all eleven presets from one base', async () => {
    const { runs } = (await create({ name: 'all', base: api.base(), presets: presetNames })).json() as Shown;
    expect(runs.map(({ preset }) => preset)).toEqual(presetNames);
  });

  it('with the same Idempotency-Key gives the same study; with another body: 409', async () => {
    const headers = { 'idempotency-key': 'study-1' };
    const answers = await Promise.all(Array.from({ length: 4 }, () => create(study(), headers)));
    expect(answers.filter(({ statusCode }) => statusCode === 201)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.json().id)).size).toBe(1);
    expect((await create(study({ seeds: [1] }), headers)).json()).toMatchObject({ status: 409, code: 'RUN.IDEMPOTENCY_CONFLICT' });
  });

  it('keeps nothing of what no run reads', async () => {
    const { id } = (await create(study({ presets: ['spin'], base: { ...api.base(), teacher: { apiKey: 'sk-123456' } } }))).json();
    expect(JSON.stringify(await api.database.studies.get(id, api.teamId))).not.toContain('sk-123456');
  });

  it('starts nothing when one run is refused', async () => {
    const before = (await api.call({ url: '/v1/runs?limit=100' })).json().runs.length;
    const base = api.base();
    const answer = await create({ name: 's', base: { ...base, preset: 'sgpo' }, runs: [{ label: 'good', changes: {} }, { label: 'bad', changes: { model: { path: '/nope' } } }] });
    expect(answer.json()).toMatchObject({ status: 400, code: 'MODEL.NOT_ALLOWED' });
    expect((await api.call({ url: '/v1/runs?limit=100' })).json().runs).toHaveLength(before);
  });

  it.each([
    ['no list', () => ({ presets: undefined, seeds: undefined }), 'STUDY.INVALID', 'presets'],
    ['an unknown preset', () => ({ presets: ['sgpo3'] }), 'SPEC.UNKNOWN_PRESET', 'presets[0]'],
    ['a wrong base', () => ({ base: { ...api.base(), filter: { factor: -1 } } }), 'SPEC.INVALID', 'base.filter.factor'],
    ['a name of no letters', () => ({ name: '' }), 'STUDY.INVALID', 'name'],
  ])('refuses %s', async (_, change, code, field) => {
    expect((await create(study(change()))).json()).toMatchObject({ status: 400, code, problems: [{ field }] });
  });
});

it('GET /v1/studies pages through the studies of the team, newest first', async () => {
  const made = [];
  for (let n = 0; n < 3; n += 1) made.push((await create(study({ name: `page ${String(n)}`, presets: ['spin'], seeds: [n] }))).json().id);
  const first = (await api.call({ url: '/v1/studies?limit=2' })).json();
  expect(first.studies.map(({ id }: { id: string }) => id)).toEqual([made[2], made[1]]);
  expect((await api.call({ url: `/v1/studies?limit=1&cursor=${String(first.next)}` })).json().studies).toMatchObject([{ id: made[0], name: 'page 0' }]);
});

describe('a study', () => {
  it('has ended when its runs have: well, or not', async () => {
    const made = (await create(study({ presets: ['spin'], seeds: [1, 2] }))).json() as Shown;
    const stateOf = async () => (await api.call({ url: `/v1/studies/${made.id}` })).json().state as string;
    const fail = async (at: number) => {
      const run = await api.database.runs.list({ teamId: api.teamId, limit: 100, before: null, state: null }).then((rows) => rows.find(({ id }) => id === made.runs[at]!.id)!);
      await api.database.runs.start(run.id);
      await api.database.runs.fail(run.id, { code: 'WORKER.FAILED', message: 'm', remedy: 'r' });
    };
    await fail(0);
    expect(await stateOf()).toBe('running');
    await fail(1);
    expect(await stateOf()).toBe('failed');
  });

  it('has a report of what has ended so far', async () => {
    const made = (await create(study({ presets: ['spin', 'sgpo'], seeds: undefined }))).json() as Shown;
    const url = `/v1/studies/${made.id}/report`;
    const report = (await api.call({ url })).json();
    expect(report).toMatchObject({ study: { id: made.id, name: 'table 3' }, runs: [{ label: 'spin', reported: false }, { label: 'sgpo', reported: false }], methods: [{ label: 'spin', reported: 0 }, { label: 'sgpo', reported: 0 }] });
    const markdown = await api.call({ url, headers: { accept: 'text/markdown' } });
    expect([markdown.statusCode, markdown.headers['content-type']]).toEqual([200, 'text/markdown; charset=utf-8']);
    expect(markdown.body).toMatch(/^# .*table 3/);
  });

  it('measures the runs that have succeeded, by their own reports', async () => {
    const entry = (label: string, seed: number) => ({ ...smallRun(api), entry: { label, preset: 'sgpo', model: 'm', seed } });
    const made = await api.database.studies.create({ teamId: api.teamId, name: 's', request: {}, idempotencyKey: null, bodyHash: null, runs: [entry('a', 1), entry('a', 2), entry('b', 1)] });
    const [first, second, third] = await api.database.studies.runsOf(made.study.id);
    const report = (chrf: number) => ({
      run: { seconds: 5 }, heldOut: [{ name: 'round1', title: 't', measures: { referencePerplexity: 3, chrf, length: 10, unfinished: 0 } }], rounds: [], steps: [], warnings: [], filter: null, teacher: null,
      editDistance: { improvedToDraft: null, improvedToReference: null, rounds: [] }, lengths: { rounds: [] },
    });
    await finishSmallRun(api, first!.id, report(10));
    await finishSmallRun(api, second!.id, report(20));
    const shown = (await api.call({ url: `/v1/studies/${made.study.id}/report` })).json();
    expect(shown.runs.map(({ runId, state, reported }: { runId: string; state: string; reported: boolean }) => [runId, state, reported])).toEqual([[first!.id, 'succeeded', true], [second!.id, 'succeeded', true], [third!.id, 'queued', false]]);
    expect(shown.methods[0]).toMatchObject({ label: 'a', seeds: [1, 2], reported: 2, measures: { chrf: { mean: 15, n: 2 } } });
    expect(shown.methods[1]).toMatchObject({ label: 'b', reported: 0, measures: { chrf: null } });
  });

  it('of another team is not there', async () => {
    const other = await api.database.tokens.ensureTeam('other');
    const { study: theirs } = await api.database.studies.create({ teamId: other, name: 'theirs', request: {}, idempotencyKey: null, bodyHash: null, runs: [] });
    for (const url of [`/v1/studies/${theirs.id}`, `/v1/studies/${theirs.id}/report`, '/v1/studies/stu_nope']) expect((await api.call({ url })).json(), url).toMatchObject({ status: 404, code: 'STUDY.NOT_FOUND' });
    expect((await api.call({ url: '/v1/studies?limit=100' })).json().studies.map(({ id }: { id: string }) => id)).not.toContain(theirs.id);
  });
});
