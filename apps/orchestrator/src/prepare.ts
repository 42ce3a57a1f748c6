import type { PublishedTable } from '@sgpo/artifacts';
import { cacheKey, fillPrompt, SgpoError, stepKinds, type Digest, type Message, type PromptName, type StepPlanOf } from '@sgpo/core';
import type { ArtifactInput, RunTree, TaskRow } from '@sgpo/database';
import type { WorkerTaskSpec } from '@sgpo/worker-client';
import type { LocalTaskSpec } from './local/local-task.ts';
import type { Services } from './services.ts';
import { inputOf, planOf, stepByKey, wholeInputOf } from './step-inputs.ts';
import { tableSchemas } from './table-schemas.ts';

type StepWithTasks = RunTree['steps'][number];

/** What a task needs to become ready: its frozen spec, the key equal tasks share, and the artifacts it reads. */
export interface PreparedTask { readonly spec: WorkerTaskSpec | LocalTaskSpec; readonly cacheKey: string; readonly inputs: readonly ArtifactInput[] }

/**
 * Writes the tables a worker or teacher task reads (content-addressed, so that doing it twice does nothing) and freezes its spec.
 * Nothing that cannot change a result enters the key: neither shard numbers, nor addresses, nor how a teacher is called (mode, limits, budget,
 * price, concurrency), nor how often a training saves a checkpoint.
 */
export async function prepareTask(services: Services, tree: RunTree, step: StepWithTasks, task: TaskRow): Promise<PreparedTask> {
  const plan = planOf(step);
  const keyOf = (parameters: unknown, inputs: Record<string, string | readonly string[]>): string =>
    cacheKey({ kind: plan.kind, version: stepKinds[plan.kind].version, role: task.role, parameters, inputs });

  if (task.role === 'merge') {
    const shards = step.tasks.filter((other) => other.role === 'shard').map((shard) => shard.output).filter((output) => output !== null);
    return { spec: { kind: 'merge', of: plan.kind as 'generate' | 'teach' | 'score', shards }, cacheKey: keyOf({}, { shards }), inputs: shards.map((digest) => ({ role: 'shard', digest })) };
  }
  switch (plan.kind) {
    case 'generate': {
      const model = wholeInputOf(tree, step, 'model');
      const requests = await writeRequests(services, tree, step, task, plan.parameters.prompt);
      const { sampling, seed, sampleIndex } = plan.parameters;
      return {
        spec: { kind: 'generate', model, input: requests.digest, sampling, seed, sampleIndex }, cacheKey: keyOf(plan.parameters, { model, input: requests.digest }),
        inputs: [{ role: 'model', digest: model }, written('requests', requests, { promptHash: plan.parameters.promptHash })],
      };
    }
    case 'teach': {
      const requests = await writeRequests(services, tree, step, task, plan.parameters.prompt);
      const { model, temperature, topP, maxTokens, seed } = plan.parameters.teacher;
      return {
        spec: { kind: 'teach', requests: requests.digest, teacher: plan.parameters.teacher },
        cacheKey: keyOf({ promptHash: plan.parameters.promptHash, model, temperature, topP, maxTokens, seed }, { input: requests.digest }),
        inputs: [written('requests', requests, { promptHash: plan.parameters.promptHash })],
      };
    }
    case 'score': {
      const model = wholeInputOf(tree, step, 'model');
      const answers = await writeScoreInput(services, tree, step, task, plan);
      const { maxLength, blockRows, dtype, chrf } = plan.parameters;
      return {
        spec: { kind: 'score', model, input: answers.digest, maxLength, blockRows, dtype, chrf }, cacheKey: keyOf(plan.parameters, { model, input: answers.digest }),
        inputs: [{ role: 'model', digest: model }, written('answers', answers, {})],
      };
    }
    case 'sft': {
      const model = wholeInputOf(tree, step, 'model');
      const dataset = trainingSetOf(tree, step);
      return {
        spec: { kind: 'sft', model, dataset, ...plan.parameters, checkpointSeconds: tree.run.spec.execution.checkpointSeconds }, cacheKey: keyOf(plan.parameters, { model, dataset }),
        inputs: [{ role: 'model', digest: model }, { role: 'dataset', digest: dataset }],
      };
    }
    case 'dpo': {
      const model = wholeInputOf(tree, step, 'policy');
      const dataset = trainingSetOf(tree, step);
      const reference = step.inputs['reference'] === undefined ? null : wholeInputOf(tree, step, 'reference');
      return {
        spec: { kind: 'dpo', model, reference, dataset, ...plan.parameters, checkpointSeconds: tree.run.spec.execution.checkpointSeconds },
        cacheKey: keyOf(plan.parameters, { model, dataset, ...(reference === null ? {} : { reference }) }),
        inputs: [{ role: 'policy', digest: model }, ...(reference === null ? [] : [{ role: 'reference', digest: reference }]), { role: 'dataset', digest: dataset }],
      };
    }
    case 'import-model':
      // What a user calls the model: an error names the field of the spec.
      return { spec: { kind: 'import-model', parameters: plan.parameters, field: step.key === 'import-teacher' ? 'teacher.weights' : 'model' }, cacheKey: keyOf(plan.parameters, {}), inputs: [] };
    case 'ingest':
    case 'filter':
    case 'build-sft':
    case 'pair':
    case 'measure':
    case 'preview':
    case 'report': {
      // The inputs of a preview and of a report are there for the order alone: both read what the run has done from Postgres.
      const inputs = plan.kind === 'report' || plan.kind === 'preview' ? {} : Object.fromEntries(Object.keys(step.inputs).map((role) => [role, wholeInputOf(tree, step, role)]));
      const spec = { kind: plan.kind, parameters: plan.parameters, inputs } as LocalTaskSpec;
      return { spec, cacheKey: keyOf(plan.parameters, inputs), inputs: Object.entries(inputs).map(([role, digest]) => ({ role, digest })) };
    }
  }
}

/** Throws DATASET.NO_ROWS_LEFT, with what became of the rows, for a set that nothing can be learnt from. */
function trainingSetOf(tree: RunTree, step: StepWithTasks): Digest {
  const digest = wholeInputOf(tree, step, 'dataset');
  const source = stepByKey(tree, step.inputs['dataset'] ?? '');
  if (source.rowsOut !== 0) return digest;
  const reasons = Object.entries(source.dropped ?? {}).map(([reason, rows]) => `${reason} ${String(rows)}`).join(', ');
  throw new SgpoError('DATASET.NO_ROWS_LEFT', `none of the ${String(source.rowsIn)} rows of ${source.key} is left to train on; dropped: ${reasons}`, {
    remedy: 'Look at the answers and their reasons in a preview (POST /v1/runs:preview); give more rows, more sampling.maxNewTokens, or change rules',
  });
}

/** An input that was written for this task alone: recorded with it. */
const written = (role: string, table: PublishedTable, meta: Record<string, unknown>): ArtifactInput =>
  ({ role, digest: table.digest, artifact: { digest: table.digest, kind: 'table', bytes: table.bytes, rows: table.rows, files: table.files, meta } });

const shardRange = (task: TaskRow): { from: number; to: number } => ({ from: task.posFrom ?? 0, to: task.posTo ?? Number.MAX_SAFE_INTEGER });

/** One request a row: the prompt template filled with x, and with the draft and the reference where it has slots for them. Rows without a draft ask nothing. */
async function writeRequests(services: Services, tree: RunTree, step: StepWithTasks, task: TaskRow, prompt: PromptName): Promise<PublishedTable> {
  const needsDraft = step.inputs['draft'] !== undefined;
  const joined = services.tables.join({
    rows: { source: inputOf(tree, step, task, 'rows'), columns: { prompt: 'prompt', reference: 'response' } },
    ...(needsDraft ? { draft: { source: inputOf(tree, step, task, 'draft'), columns: { draft: 'text', draftDrop: 'drop_reason' } } } : {}),
  }, shardRange(task));
  async function* requests() {
    for await (const row of joined) {
      if (needsDraft && (typeof row['draft'] !== 'string' || row['draftDrop'] !== null)) continue;
      const filled = fillPrompt(prompt, {
        prompt: row['prompt'] as readonly Message[], reference: row['reference'] as string, ...(needsDraft ? { draft: row['draft'] as string } : {}),
      });
      yield { id: row['id'] as string, pos: row['pos'] as number, messages: filled };
    }
  }
  return services.tables.write(tableSchemas.requests, requests());
}

/** What is scored: given answers under their prompts, or the references, with the answers beside them for chrF where there are any. */
async function writeScoreInput(services: Services, tree: RunTree, step: StepWithTasks, task: TaskRow, plan: StepPlanOf<'score'>): Promise<PublishedTable> {
  const hasAnswers = step.inputs['answers'] !== undefined;
  const joined = services.tables.join({
    rows: { source: inputOf(tree, step, task, 'rows'), columns: { prompt: 'prompt', reference: 'response' } },
    ...(hasAnswers ? { answers: { source: inputOf(tree, step, task, 'answers'), columns: { answer: 'text', answerDrop: 'drop_reason' } } } : {}),
  }, shardRange(task));
  async function* rows() {
    for await (const row of joined) {
      const answer = hasAnswers && row['answerDrop'] === null && typeof row['answer'] === 'string' ? row['answer'] : null;
      const base = { id: row['id'] as string, pos: row['pos'] as number, messages: row['prompt'] as readonly Message[] };
      if (plan.parameters.of === 'reference') yield { ...base, response: row['reference'] as string, hypothesis: answer };
      else if (answer !== null) yield { ...base, response: answer, hypothesis: null };
    }
  }
  return services.tables.write(tableSchemas.scoreInput, rows());
}
