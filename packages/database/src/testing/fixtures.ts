/** What the tests of this package build on: a database of their own, a small plan, and shortcuts through a run's life. */
import type { AttemptId, DatasetSource, Digest, Plan, PreferenceOptions, RunId, RunSpec, StepPlanOf, TaskId, TeamId, TrainingOptions, WorkerId } from '@sgpo/core';
import pg from 'pg';
import { createDatabase } from '../database.ts';
import type { Database, NewTask, RunRow, RunTree, TaskResult } from '../repositories.ts';
import { createTestDatabase } from './database.ts';

export interface TestBed {
  readonly database: Database;
  readonly url: string;
  readonly teamId: TeamId;
  sql<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

export async function openTestBed(): Promise<TestBed> {
  const test = await createTestDatabase();
  const database = createDatabase({ url: test.url });
  const pool = new pg.Pool({ connectionString: test.url, max: 1 });
  pool.on('error', () => undefined); // dropping the database ends it
  return {
    database, url: test.url, teamId: await database.tokens.ensureTeam('default'),
    async sql<Row extends object>(text: string, values: readonly unknown[] = []) { return (await pool.query<Row>(text, [...values])).rows; },
    async close() { await database.close(); await pool.end(); await test.drop(); },
  };
}

const sampling = { temperature: 0.7, topP: 0.9, maxNewTokens: 8, maxLength: 64, blockRows: 4, dtype: 'float32' } as const;
const training: TrainingOptions = {
  epochs: 1, learningRate: 1e-5, batchSize: 4, microBatchSize: 2, maxLength: 64, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0, maxGradNorm: 1,
  dtype: 'float32', saveDtype: 'float32', gradientCheckpointing: false, lora: null, publish: 'last', validation: null,
};
const preference: PreferenceOptions = {
  ...training, trainer: 'dpo', loss: ['sigmoid'], lossWeights: null, beta: 0.1, labelSmoothing: 0, reference: 'round',
  ldAlpha: null, simpoGamma: null, cpoAlpha: null, desirableWeight: null, undesirableWeight: null, discopopTau: null,
};
/** As core/detect.ts lists them. */
const flaws = ['empty', 'invalid_unicode', 'delimiter_leak', 'instruction_echo', 'meta_talk', 'refusal', 'broken_escape', 'copy_of_reference'] as const;

export const sourceOf = (path: string, limit: number | null = null): DatasetSource =>
  ({ path, hub: null, dataset: null, limit, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null });

export const teacher: NonNullable<RunSpec['teacher']> = {
  source: 'endpoint', baseUrl: 'http://127.0.0.1:1/v1', model: 't', weights: null, apiKey: null, temperature: 0, topP: 1, maxTokens: 8, seed: null, mode: 'requests', concurrency: 1,
  timeoutSeconds: 1, maxAttempts: 1, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null, budget: { tokens: null, cost: null },
};

export const spec: RunSpec = {
  name: 'small', preset: 'sgpo', seed: 1, model: { path: '/models/a', artifact: null, from: null },
  data: { sft: null, improver: sourceOf('a.jsonl'), policy: sourceOf('b.jsonl', 8), preferences: null, heldOut: null, heldOutOverlap: 'drop', scores: 'check' },
  recipe: {
    improver: 'shared', targets: ['improved', 'external'], referenceInTraining: false, referenceInRefining: true, chosen: 'refined', rejected: 'sampled', rounds: 1,
  },
  teacher, sampling, evaluation: { temperature: 0, topP: 1, maxNewTokens: 8 }, filter: { factor: 1.5, minTokens: 1, includeEndToken: false },
  rules: { unfinished: 'drop', targetFlaws: flaws, chosenFlaws: flaws, copyOfDraft: 'drop', replay: 0 },
  sftTraining: { ...training, chatTemplate: 'auto' }, improverTraining: training, preference, execution: { shardRows: 8, cache: true, checkpointSeconds: 60 }, preview: null,
};

const generate: StepPlanOf<'generate'> = {
  key: 'answers', kind: 'generate', title: 'answers', space: 'improver', inputs: { rows: 'rows', model: 'model' },
  parameters: { prompt: 'plain', promptHash: 'x', sampling, seed: 1, sampleIndex: 0 },
};

/** A local step, a local step, a sharded worker step, a worker step. */
export const plan: Plan = {
  steps: [
    { key: 'model', kind: 'import-model', title: 'model', space: null, inputs: {}, parameters: { model: spec.model, needsChatTemplate: true } },
    { key: 'rows', kind: 'ingest', title: 'rows', space: 'improver', inputs: {}, parameters: { source: sourceOf('a.jsonl'), space: 'improver', heldOutOverlap: 'drop', scores: 'check' } },
    generate,
    { key: 'train', kind: 'sft', title: 'training', space: null, inputs: { model: 'model', dataset: 'answers' }, parameters: { training, chatTemplate: '', seed: 1 } },
  ],
  models: [{ name: 'pi0', title: 'π₀', step: 'model' }, { name: 'improver', title: 'π*', step: 'train' }],
};

/** Two shards and their merge. */
export const shards: readonly NewTask[] = [
  { index: 0, role: 'shard', location: 'worker', posFrom: 0, posTo: 8, rowsTotal: 8 },
  { index: 1, role: 'shard', location: 'worker', posFrom: 8, posTo: 12, rowsTotal: 4 },
  { index: 2, role: 'merge', location: 'local', posFrom: null, posTo: null, rowsTotal: 12 },
];

let digests = 0;
/** A digest that no other call gives. */
export const newDigest = (): Digest => { digests += 1; return digests.toString(16).padStart(64, '0') as Digest; };

export const resultOf = (digest: Digest = newDigest(), kind: TaskResult['output']['kind'] = 'table'): TaskResult => ({
  rowsIn: 8, rowsOut: 7, dropped: { empty: 1 }, stats: { mean: 1.5 }, provenance: { engine: 'test' }, peakRssBytes: 5_000_000_000,
  output: { digest, kind, bytes: 6_000_000_000, rows: 7, files: [{ path: 'rows.parquet', bytes: 10, sha256: digest }], meta: { made: 'here' } },
});

export const failure = { code: 'WORKER.FAILED', message: 'it failed', remedy: 'try again' };

export const createRun = async (bed: TestBed, changes: Partial<RunSpec> = {}): Promise<RunRow> =>
  (await bed.database.runs.create({ teamId: bed.teamId, spec: { ...spec, ...changes }, plan, idempotencyKey: null, bodyHash: null })).run;

export async function startedRun(bed: TestBed, changes: Partial<RunSpec> = {}): Promise<RunId> {
  const run = await createRun(bed, changes);
  await bed.database.runs.start(run.id);
  return run.id;
}

export async function treeOf(bed: TestBed, id: RunId): Promise<RunTree> {
  const tree = await bed.database.runs.tree(id);
  if (tree === null) throw new Error(`no run ${id}`);
  return tree;
}

export async function stepOf(bed: TestBed, id: RunId, key: string): Promise<RunTree['steps'][number]> {
  const step = (await treeOf(bed, id)).steps.find((candidate) => candidate.key === key);
  if (step === undefined) throw new Error(`no step ${key}`);
  return step;
}

export async function taskOf(bed: TestBed, id: RunId, key: string, index = 0): Promise<TaskId> {
  const task = (await stepOf(bed, id, key)).tasks[index];
  if (task === undefined) throw new Error(`no task ${String(index)} in ${key}`);
  return task.id;
}

let keys = 0;
/** A cache key that no other call gives. */
export const newKey = (): string => { keys += 1; return keys.toString(16).padStart(64, 'f'); };

/** A pending task of the run, its step begun; for `answers` the step is expanded when it is not yet. */
export async function pendingTask(bed: TestBed, id: RunId, key: string, index = 0): Promise<TaskId> {
  const step = await stepOf(bed, id, key);
  if (step.state === 'pending') {
    if (key === 'answers') await bed.database.steps.expand(step.id, shards);
    await bed.database.steps.begin(step.id);
  }
  return taskOf(bed, id, key, index);
}

/** The same made ready. */
export async function readyTask(bed: TestBed, id: RunId, key: string, index = 0, model: Digest | null = null): Promise<TaskId> {
  const taskId = await pendingTask(bed, id, key, index);
  await bed.database.tasks.markReady(taskId, { cacheKey: newKey(), spec: { kind: key, model }, inputs: [], share: false });
  return taskId;
}

export async function addWorker(bed: TestBed, id: string, slots = 2, draining = false): Promise<WorkerId> {
  const workerId = id as WorkerId;
  await bed.database.workers.seen({
    id: workerId, address: `127.0.0.1:${id}`, instanceId: 'i', engine: 'transformers', deterministic: true, deviceKind: 'cpu', devices: ['cpu'], slots, draining,
    warmModel: null, versions: { torch: '2' },
  });
  return workerId;
}

/** A leased attempt of a ready worker task on a worker of its own. */
export async function claimedAttempt(bed: TestBed, taskId: TaskId): Promise<AttemptId> {
  const workerId = await addWorker(bed, `worker-${taskId}`, 1);
  const attemptId = await bed.database.attempts.claim({ taskId, workerId, slot: 0, leaseMs: 30_000 });
  if (attemptId === null) throw new Error(`task ${taskId} was not claimed`);
  return attemptId;
}

export async function runningAttempt(bed: TestBed, taskId: TaskId): Promise<AttemptId> {
  const attemptId = await claimedAttempt(bed, taskId);
  await bed.database.attempts.started(attemptId);
  return attemptId;
}
