import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFolderStore } from '@sgpo/artifacts';
import type { ArtifactStore } from '@sgpo/artifacts';
import type { RunSpecBody } from '@sgpo/contracts';
import { parseRunSpec } from '@sgpo/contracts';
import { compileRun } from '@sgpo/core';
import type { Plan, RunId, RunSpec, StepPlan, TaskId, TeamId } from '@sgpo/core';
import { createDatabase, createTestDatabase } from '@sgpo/database';
import type { Database, TaskResult } from '@sgpo/database';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { buildApp } from '../app.ts';

/** The API on a database, a store and data folders of its own. */
export interface TestApi {
  readonly app: FastifyInstance;
  readonly database: Database;
  readonly store: ArtifactStore;
  readonly teamId: TeamId;
  readonly token: string;
  /** The one allowed folder; `outside` is a folder beside it. */
  readonly root: string;
  readonly outside: string;
  /** With the token of the team. */
  call(options: InjectOptions): Promise<LightMyRequestResponse>;
  /** To /v1/runs unless another address is given. */
  post(body: unknown, headers?: Record<string, string>, url?: string): Promise<LightMyRequestResponse>;
  spec(change?: Partial<RunSpecBody>): RunSpecBody;
  /** What a study needs to hold every preset. */
  base(): Record<string, unknown>;
  close(): Promise<void>;
}

export async function openTestApi(): Promise<TestApi> {
  const test = await createTestDatabase();
  const database = createDatabase({ url: test.url, poolSize: 4 });
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'sgpo-api-')));
  const [root, outside] = [join(folder, 'root'), join(folder, 'outside')];
  await writeSources(root);
  await writeSources(outside);
  const store = createFolderStore({ root: join(folder, 'store') });
  const app = await buildApp({
    database, store, dataRoots: [root], allowedHosts: ['127.0.0.1:9'], environment: {}, cacheFolder: join(folder, 'downloads'), eventPollMs: 20,
  }, { logLevel: 'silent' });
  const teamId = await database.tokens.ensureTeam('default');
  const { token } = await database.tokens.create({ teamId, name: 'test', expiresAt: null });
  const call = (options: InjectOptions): Promise<LightMyRequestResponse> => app.inject({ ...options, headers: { authorization: `Bearer ${token}`, ...options.headers } });
  return {
    app, database, store, teamId, token, root, outside, call,
    post: (body, headers = {}, url = '/v1/runs') => call({ method: 'POST', url, headers: { 'content-type': 'application/json', ...headers }, payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    spec: (change = {}) => ({
      preset: 'sgpo', model: { path: join(root, 'model') }, data: { improver: { path: join(root, 'improver.jsonl') }, policy: { path: join(root, 'policy.jsonl') } },
      teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 't' }, ...change,
    }),
    base: () => ({
      model: { path: join(root, 'model') }, teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 't' },
      data: Object.fromEntries([['sft', 'conversations'], ['improver', 'improver'], ['policy', 'policy'], ['preferences', 'preferences'], ['heldOut', 'heldout']].map(([set, file]) => [set, { path: join(root, `${String(file)}.jsonl`) }])),
    }),
    async close() {
      await app.close();
      await database.close();
      await test.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeSources(root: string): Promise<void> {
  await mkdir(join(root, 'model'), { recursive: true });
  for (const name of ['improver', 'policy', 'heldout']) {
    await writeFile(join(root, `${name}.jsonl`), [1, 2, 3].map((n) => JSON.stringify({ prompt: `${name} ${String(n)}`, response: 'yes' })).join('\n'));
  }
  const turns = (n: number, answer: string) => [{ role: 'user', content: `more ${String(n)}` }, { role: 'assistant', content: answer }];
  await writeFile(join(root, 'conversations.jsonl'), [1, 2].map((n) => JSON.stringify({ messages: [...turns(n, 'a'), ...turns(n + 10, 'b')] })).join('\n'));
  await writeFile(join(root, 'preferences.jsonl'), [1, 2].map((n) => JSON.stringify({ chosen: turns(n, 'good'), rejected: turns(n, 'bad') })).join('\n'));
  const header = Buffer.from(JSON.stringify({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(join(root, 'model', 'model.safetensors'), Buffer.concat([length, header, Buffer.alloc(4)]));
  await writeFile(join(root, 'model', 'config.json'), JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'] }));
  await writeFile(join(root, 'model', 'tokenizer.json'), '{}');
  await writeFile(join(root, 'model', 'tokenizer_config.json'), JSON.stringify({ chat_template: '{{ messages }}' }));
}

/** A run as the API would create it, without the checks of its files. */
export async function createRun(api: TestApi, teamId: TeamId = api.teamId, change: Partial<RunSpecBody> = {}): Promise<RunId> {
  const spec = parseRunSpec(api.spec(change));
  return (await api.database.runs.create({ teamId, spec, plan: compileRun(spec), idempotencyKey: null, bodyHash: null })).run.id;
}

/** A spec with a plan cut down to steps that can be ended here: π₀, the model after the round, the report. */
export function smallRun(api: TestApi): { readonly spec: RunSpec; readonly plan: Plan } {
  const spec = parseRunSpec(api.spec());
  const { steps, models } = compileRun(spec);
  return { spec, plan: { models, steps: steps.flatMap((step): StepPlan[] => (step.kind === 'import-model' ? [step, { ...step, key: 'dpo-r1' }] : step.kind === 'report' ? [{ ...step, inputs: {} }] : [])) } };
}

/** Ends every step of a small run well. Returns the digest of the model after its round. */
export async function finishSmallRun(api: TestApi, id: RunId, report: unknown = {}): Promise<string> {
  await api.database.runs.start(id);
  await finishStep(api, id, 'import-model', { 'config.json': `{"of":"${id}"}` }, 'model');
  const model = await finishStep(api, id, 'dpo-r1', { 'config.json': `{"trained":"${id}"}` }, 'model');
  await finishStep(api, id, 'report', { 'report.json': JSON.stringify(report), 'report.md': '# Report' });
  if (!await api.database.runs.succeed(id)) throw new Error('the run did not succeed');
  return model;
}

/** A small run that has succeeded: its id and the digest of its last model. */
export async function finishedRun(api: TestApi, teamId: TeamId = api.teamId): Promise<{ readonly id: RunId; readonly model: string }> {
  const { id } = (await api.database.runs.create({ teamId, ...smallRun(api), idempotencyKey: null, bodyHash: null })).run;
  return { id, model: await finishSmallRun(api, id) };
}

/** Ends a local step of a running run with an artifact that holds `files`. Returns its digest. */
export async function finishStep(api: TestApi, runId: RunId, key: string, files: Readonly<Record<string, string>>, kind: TaskResult['output']['kind'] = 'report'): Promise<string> {
  const { database, store } = api;
  const published = await store.publish(async (dir) => { for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text); });
  const tree = await database.runs.tree(runId);
  const step = tree?.steps.find((candidate) => candidate.key === key);
  const taskId: TaskId | undefined = step?.tasks[0]?.id;
  if (step === undefined || taskId === undefined) throw new Error(`no task of ${key}`);
  await database.steps.begin(step.id);
  await database.tasks.markReady(taskId, { cacheKey: `${key}${runId}`.padEnd(64, '0').slice(0, 64), spec: {}, inputs: [], share: false });
  const attempt = await database.attempts.claimLocal({ taskId, holder: 'test', holdMs: 60_000 });
  if (attempt === null) throw new Error(`${key} was not claimed`);
  await database.attempts.report(attempt.id, { lastSequence: 0, metrics: [{ step: 1, values: { loss: 0.5 } }, { step: 2, values: { loss: 0.25 } }] });
  await database.attempts.succeed(attempt.id, {
    rowsIn: 3, rowsOut: 2, dropped: { empty: 1 }, stats: { mean: 1 }, provenance: { engine: 'test' }, peakRssBytes: null,
    output: { digest: published.digest, kind, bytes: published.bytes, rows: null, files: published.files, meta: {} },
  });
  await database.steps.finish(step.id, taskId);
  return published.digest;
}
