import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest, EndpointTeacher, PreferenceOptions, StepPlan } from '@sgpo/core';
import type { RunTree, TaskRow } from '@sgpo/database';
import { prepareTask, type PreparedTask } from './prepare.ts';
import { tableSchemas } from './table-schemas.ts';
import { openBed, type Bed } from './testing/bed.ts';

let bed: Bed;
let rows: Digest;
let answers: Digest;
beforeAll(async () => {
  bed = await openBed();
  const { tables } = bed.services;
  rows = (await tables.write(tableSchemas.rows, [0, 1, 2].map((pos) => ({ id: `r${String(pos)}`, pos, prompt: [{ role: 'user', content: 'q' }], response: 'reference', source_row: pos })))).digest;
  answers = (await tables.write(tableSchemas.generate, [0, 1, 2].map((pos) => ({
    id: `r${String(pos)}`, pos, text: pos === 1 ? null : `y${String(pos)}`, token_ids: null, finish_reason: 'stop', prompt_tokens: 1, completion_tokens: 1, drop_reason: pos === 1 ? 'prompt_too_long' : null,
  })))).digest;
});
afterAll(() => bed.close());

const digestOf = (letter: string): Digest => letter.repeat(64) as Digest;
const whole = { id: 'tsk', index: 0, role: 'whole', posFrom: null, posTo: null } as unknown as TaskRow;

/** The task of a step whose inputs are done: `outputs` by the key of their step. */
function prepare(step: StepPlan, outputs: Readonly<Record<string, Digest>>, execution: { readonly checkpointSeconds: number } = { checkpointSeconds: 60 }): Promise<PreparedTask> {
  const sources = Object.entries(outputs).map(([key, output]) => ({ key, kind: 'ingest', title: '', space: null, inputs: {}, parameters: {}, output, tasks: [] }));
  const own = { ...step, output: null, tasks: [whole] };
  const tree = { run: { id: 'run', spec: { execution } }, steps: [...sources, own] } as unknown as RunTree;
  return prepareTask(bed.services, tree, tree.steps.at(-1)!, whole);
}

const teacher: EndpointTeacher = {
  source: 'endpoint', baseUrl: 'http://127.0.0.1:1/v1', model: 't', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 8, seed: 1, mode: 'requests', concurrency: 1,
  timeoutSeconds: 1, maxAttempts: 1, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: null, budget: { tokens: null, cost: null },
};
const teachWith = (changes: Partial<EndpointTeacher>): Promise<PreparedTask> => prepare(
  { key: 'teach-external', kind: 'teach', title: '', space: 'improver', inputs: { rows: 'rows' }, parameters: { prompt: 'plain', promptHash: 'h', teacher: { ...teacher, ...changes } } }, { rows },
);

test('how a teacher is called changes no key; what it is asked does', async () => {
  const { cacheKey } = await teachWith({});
  const called: Partial<EndpointTeacher> = {
    baseUrl: 'http://b.example.com/v1', apiKey: 'env:KEY', mode: 'batch', concurrency: 9, timeoutSeconds: 9, maxAttempts: 9, limits: { requestsPerMinute: 1, tokensPerMinute: 1 },
    price: { promptPerMillion: 1, completionPerMillion: 1 }, budget: { tokens: 1, cost: 1 },
  };
  expect((await teachWith(called)).cacheKey).toBe(cacheKey);
  for (const asked of [{ model: 'u' }, { temperature: 0 }, { topP: 1 }, { maxTokens: 9 }, { seed: null }] satisfies Partial<EndpointTeacher>[]) {
    expect((await teachWith(asked)).cacheKey).not.toBe(cacheKey);
  }
});

const preference = { trainer: 'dpo', loss: ['sigmoid'], beta: 0.1 } as unknown as PreferenceOptions;
const optimise = (inputs: Readonly<Record<string, string>>, checkpointSeconds = 60): Promise<PreparedTask> => prepare(
  { key: 'dpo-r1', kind: 'dpo', title: '', space: null, inputs, parameters: { preference, seed: 1 } }, { pi: digestOf('a'), pi0: digestOf('b'), pairs: digestOf('c') }, { checkpointSeconds },
);

test('policy, reference and pairs each have their place; a trainer without a reference is given none', async () => {
  const withReference = await optimise({ policy: 'pi', reference: 'pi0', dataset: 'pairs' });
  expect(withReference.spec).toMatchObject({ kind: 'dpo', model: digestOf('a'), reference: digestOf('b'), dataset: digestOf('c') });
  expect(withReference.inputs.map(({ role }) => role)).toEqual(['policy', 'reference', 'dataset']);
  const without = await optimise({ policy: 'pi', dataset: 'pairs' });
  expect(without.spec).toMatchObject({ model: digestOf('a'), reference: null });
  expect(without.inputs.map(({ role }) => role)).toEqual(['policy', 'dataset']);
  expect(new Set([withReference.cacheKey, without.cacheKey, (await optimise({ policy: 'pi0', reference: 'pi', dataset: 'pairs' })).cacheKey]).size).toBe(3);
});

test('how often a training saves a checkpoint changes no key', async () => {
  const inputs = { policy: 'pi', reference: 'pi0', dataset: 'pairs' };
  expect((await optimise(inputs, 5)).cacheKey).toBe((await optimise(inputs)).cacheKey);
});

async function scoreInput(of: 'answers' | 'reference', inputs: Readonly<Record<string, string>>): Promise<unknown[]> {
  const { spec } = await prepare(
    { key: 'score', kind: 'score', title: '', space: 'improver', inputs: { rows: 'rows', model: 'pi', ...inputs }, parameters: { of, chrf: false, maxLength: 64, blockRows: 4, dtype: 'float32' } },
    { rows, y: answers, pi: digestOf('a') },
  );
  const read: unknown[] = [];
  for await (const { id, response, hypothesis } of bed.services.tables.scan((spec as { input: Digest }).input)) read.push([id, response, hypothesis]);
  return read;
}

test('sampled answers are scored as taught ones are; those that were dropped are not', async () => {
  expect(await scoreInput('answers', { answers: 'y' })).toEqual([['r0', 'y0', null], ['r2', 'y2', null]]);
});

test('references are scored with and without answers beside them', async () => {
  expect(await scoreInput('reference', { answers: 'y' })).toEqual([['r0', 'reference', 'y0'], ['r1', 'reference', null], ['r2', 'reference', 'y2']]);
  expect(await scoreInput('reference', {})).toEqual([['r0', 'reference', null], ['r1', 'reference', null], ['r2', 'reference', null]]);
});

test('the report needs every step, and reads none of their tables itself', async () => {
  const { spec, inputs } = await prepare({ key: 'report', kind: 'report', title: '', space: null, inputs: { pairs: 'pairs' }, parameters: {} }, { pairs: digestOf('c') });
  expect([spec, inputs]).toEqual([{ kind: 'report', parameters: {}, inputs: {} }, []]);
});
