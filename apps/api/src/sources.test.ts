import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TeamId } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun, finishedRun, finishStep, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
let otherTeam: TeamId;
beforeAll(async () => {
  api = await openTestApi();
  otherTeam = await api.database.tokens.ensureTeam('other');
});
afterAll(async () => { await api.close(); });

const refused = async (change: object) => {
  const answer = await api.post({ ...api.spec(), ...change });
  expect(answer.statusCode, answer.body).toBeGreaterThanOrEqual(400);
  const { status, code, problems } = answer.json();
  return [status, code, problems[0]?.field];
};
const specOf = async (change: object) => {
  const answer = await api.post({ ...api.spec(), ...change });
  expect(answer.statusCode, answer.body).toBe(201);
  return (await api.call({ url: `/v1/runs/${String(answer.json().id)}` })).json().spec;
};

describe('a model', () => {
  it('of a finished run: its digest is filled in, and the filled spec is a spec again', async () => {
    const { id, model } = await finishedRun(api);
    const spec = await specOf({ model: { from: { run: id } } });
    expect(spec.model).toEqual({ path: null, artifact: model, from: { run: id, model: 'final' } });
    expect((await specOf(spec)).model).toEqual(spec.model);
    expect((await specOf({ model: { from: { run: id, model: 'round1' } } })).model.artifact).toBe(model);
    expect((await specOf({ model: { artifact: model } })).model).toEqual({ path: null, artifact: model, from: null });
    const pi0 = await specOf({ model: { from: { run: id, model: 'pi0' } } });
    expect(pi0.model.artifact).not.toBe(model);
    expect(await refused({ model: { artifact: pi0.model.artifact, from: { run: id } } })).toEqual([400, 'SPEC.CONFLICT', 'model.artifact']);
  });

  it('of a run that has not succeeded, or under a name it has not, is refused', async () => {
    const { id } = await finishedRun(api);
    expect(await refused({ model: { from: { run: await createRun(api) } } })).toEqual([409, 'RUN.NOT_SUCCEEDED', 'model.from.run']);
    expect(await refused({ model: { from: { run: 'run_nope' } } })).toEqual([404, 'RUN.NOT_FOUND', 'model.from.run']);
    const answer = (await api.post({ ...api.spec(), model: { from: { run: id, model: 'round2' } } })).json();
    expect(answer).toMatchObject({ status: 400, code: 'RUN.NO_SUCH_MODEL', problems: [{ field: 'model.from.model', fix: 'Give one of: final, pi0, improver, round1' }] });
  });

  it('that is no artifact, or another kind of one, is refused', async () => {
    const run = await createRun(api);
    await api.database.runs.start(run);
    const table = await finishStep(api, run, 'filter', { 'rows.parquet': 'x' }, 'table');
    expect(await refused({ model: { artifact: '0'.repeat(64) } })).toEqual([404, 'ARTIFACT.NOT_FOUND', 'model.artifact']);
    expect(await refused({ model: { artifact: table } })).toEqual([404, 'ARTIFACT.NOT_FOUND', 'model.artifact']);
  });

  it('of another team cannot be used, whichever way it is named', async () => {
    const { id, model } = await finishedRun(api, otherTeam);
    expect(await refused({ model: { from: { run: id } } })).toEqual([404, 'RUN.NOT_FOUND', 'model.from.run']);
    expect(await refused({ model: { artifact: model } })).toEqual([404, 'ARTIFACT.NOT_FOUND', 'model.artifact']);
    expect(await refused({ teacher: { source: 'fleet', weights: { artifact: model } } })).toEqual([404, 'ARTIFACT.NOT_FOUND', 'teacher.weights.artifact']);
  });

  it('that teaches is looked up the same way', async () => {
    const { id, model } = await finishedRun(api);
    expect((await specOf({ teacher: { source: 'fleet', weights: { from: { run: id } } } })).teacher.weights).toEqual({ path: null, artifact: model, from: { run: id, model: 'final' } });
    expect(await refused({ teacher: { source: 'fleet', weights: { path: join(api.root, 'nope') } } })).toEqual([400, 'MODEL.NOT_FOUND', 'teacher.weights.path']);
    await specOf({ teacher: { source: 'policy' } });
  });

  it('needs a chat template, unless Step 0 gives it one', async () => {
    const base = join(api.root, 'base');
    await cp(join(api.root, 'model'), base, { recursive: true });
    await rm(join(base, 'tokenizer_config.json'));
    await writeFile(join(base, 'tokenizer_config.json'), '{}');
    const model = { path: base };
    const data = { ...api.spec().data, sft: { path: join(api.root, 'conversations.jsonl') } };
    expect(await refused({ model })).toEqual([400, 'MODEL.NO_CHAT_TEMPLATE', 'model.path']);
    await specOf({ model, data });
    expect(await refused({ model, data, sftTraining: { chatTemplate: 'own' } })).toEqual([400, 'MODEL.NO_CHAT_TEMPLATE', 'model.path']);
    expect(await refused({ teacher: { source: 'fleet', weights: model } })).toEqual([400, 'MODEL.NO_CHAT_TEMPLATE', 'teacher.weights.path']);
  });
});

describe('a key of the teacher', () => {
  it('may be known to the orchestrator alone', async () => {
    expect((await specOf({ teacher: { baseUrl: 'https://host.example/v1', model: 't', apiKey: 'env:NOT_SET_HERE' } })).teacher.apiKey).toBe('env:NOT_SET_HERE');
  });
});
