import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PublishedTable } from '@sgpo/artifacts';
import { compileRun, flaws, presetOf, stepKinds, type DatasetSource, type Message, type PresetName, type PreviewResult, type RunId, type RunSpec, type StepPlan, type TeacherOptions } from '@sgpo/core';
import { contextOf, openBed, resultOf, type Bed } from '../testing/bed.ts';
import { tableSchemas } from '../table-schemas.ts';
import { preview } from './preview.ts';

/** What a preview tells of the tables its run has made: the verdicts themselves are tested in core. */
let bed: Bed;
beforeAll(async () => { bed = await openBed(); });
afterAll(() => bed.close());

const source: DatasetSource = { path: 'rows.jsonl', hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null };
const teacher: TeacherOptions = {
  source: 'endpoint', baseUrl: 'http://127.0.0.1:9/v1', model: 't', weights: null, apiKey: null, temperature: 0.7, topP: 0.9, maxTokens: 64, seed: null, mode: 'requests', concurrency: 1, timeoutSeconds: 5,
  maxAttempts: 1, limits: { requestsPerMinute: null, tokensPerMinute: null }, price: { promptPerMillion: 1e6, completionPerMillion: 1e6 }, budget: { tokens: null, cost: null },
};
/** What a preview is planned from; trainings are no part of it. */
const specOf = (preset: PresetName, sets: readonly ('improver' | 'policy' | 'preferences')[], rows: number): RunSpec => ({
  name: null, preset, seed: 0, model: { path: '/m', artifact: null, from: null }, recipe: presetOf(preset).options, teacher: sets.includes('improver') ? teacher : null, preview: { rows },
  data: { sft: null, improver: null, policy: null, preferences: null, heldOut: null, heldOutOverlap: 'drop', scores: 'check', ...Object.fromEntries(sets.map((set) => [set, source])) },
  sampling: { temperature: 0.7, topP: 0.9, maxNewTokens: 32, maxLength: 512, blockRows: 4, dtype: 'float32' }, filter: { factor: 1.5, minTokens: 1, includeEndToken: false },
  rules: { unfinished: 'drop', targetFlaws: flaws, chosenFlaws: flaws, copyOfDraft: 'drop', replay: 0 },
}) as Partial<RunSpec> as RunSpec;

const ask = (content: string): Message[] => [{ role: 'user', content }];
const positions = [0, 1, 2, 3];

const writeRows = (name: string): Promise<PublishedTable> =>
  bed.services.tables.write(tableSchemas.rows, positions.map((pos) => ({ id: `${name}${String(pos)}`, pos, prompt: ask(`${name} question ${String(pos)}`), response: `${name} reference ${String(pos)}`, source_row: pos })));
/** Row 1 has no answer. */
const writeAnswers = (name: string): Promise<PublishedTable> => bed.services.tables.write(tableSchemas.teach, positions.map((pos) => ({
  id: `x${String(pos)}`, pos, text: pos === 1 ? null : `${name} answer ${String(pos)}`, finish_reason: pos === 1 ? null : 'stop', prompt_tokens: 1, completion_tokens: 1, drop_reason: pos === 1 ? 'prompt_too_long' : null,
})));

/** A preview whose steps are all local, so that they can be ended here with the tables given. */
async function runWith(spec: RunSpec, tables: Readonly<Record<string, () => Promise<PublishedTable>>>): Promise<RunId> {
  const plan = compileRun(spec);
  const steps = plan.steps.map((step): StepPlan => (stepKinds[step.kind].where === 'worker' || stepKinds[step.kind].sharded ? { ...step, kind: 'measure', parameters: { model: step.key } } : step));
  const id = await bed.run(spec, { ...plan, steps });
  const { database } = bed.services;
  await database.runs.start(id);
  for (const [key, write] of Object.entries(tables)) {
    const task = await bed.task(id, key);
    await database.steps.begin(task.stepId);
    await database.tasks.markReady(task.id, { cacheKey: `${key}${id}`.padEnd(64, '0').slice(0, 64), spec: {}, inputs: [], share: false });
    await bed.finish(id, key, resultOf(await write()));
    await database.steps.finish(task.stepId, task.id);
  }
  return id;
}

async function previewOf(id: RunId, rows: number): Promise<{ readonly result: PreviewResult; readonly markdown: string }> {
  const { output } = await preview(contextOf(bed.services, { runId: id }), { kind: 'preview', parameters: { rows }, inputs: {} });
  const read = async (name: string): Promise<string> => text((await bed.services.store.openFile(output.digest, name)).stream);
  return { result: JSON.parse(await read('preview.json')) as PreviewResult, markdown: await read('preview.md') };
}

test('the first rows of both sets, with their texts, verdicts and what they cost', async () => {
  const id = await runWith(specOf('sgpo', ['improver', 'policy'], 3), {
    'ingest-improver': () => writeRows('improver'), 'generate-y0': () => writeAnswers('draft'), 'teach-external': () => writeAnswers('external'), 'teach-improved': () => writeAnswers('improved'),
    'filter': () => bed.services.tables.write(tableSchemas.verdicts, [0, 2, 3].flatMap((pos) => ['external', 'improved'].map((target) => (
      { id: `improver${String(pos)}`, pos, target, perplexity: pos + 1.5, drop_reason: pos === 2 && target === 'external' ? 'perplexity_high' : null })))),
    'build-sft': () => bed.services.tables.write(tableSchemas.sft, []),
    'ingest-policy': () => writeRows('policy'), 'generate-y-r1': () => writeAnswers('y'), 'generate-yplus-r1': () => writeAnswers('refined'), 'pair-r1': () => bed.services.tables.write(tableSchemas.pairs, []),
  });
  await bed.services.database.ledger.record('k'.repeat(64), 't', { text: 'a', finishReason: 'stop', promptTokens: 3, completionTokens: 4 }, id);

  const { result, markdown } = await previewOf(id, 3);
  expect(result.rows.map(({ space, id: row }) => `${space} ${row}`)).toEqual(['improver improver0', 'improver improver1', 'improver improver2', 'policy policy0', 'policy policy1', 'policy policy2']);
  expect(result.rows[0]).toMatchObject({ draft: 'draft answer 0', improved: 'improved answer 0', external: 'external answer 0', reference: 'improver reference 0', perplexity: { improved: 1.5, external: 1.5 }, verdicts: { improved: 'kept', external: 'kept' } });
  expect(result.rows[1]).toMatchObject({ draft: null, improved: null, perplexity: { improved: null }, verdicts: { improved: 'prompt_too_long', external: 'prompt_too_long' } });
  expect(result.rows[2]?.verdicts).toEqual({ improved: 'kept', external: 'perplexity_high' });
  expect(result.rows[3]).toMatchObject({ prompt: ask('policy question 0'), chosen: 'refined answer 0', rejected: 'y answer 0', verdicts: { pair: 'kept' } });
  expect(result.rows[4]).toMatchObject({ chosen: null, rejected: null, verdicts: { pair: 'rejected_prompt_too_long' } });
  expect(result.spent).toEqual({ calls: 1, promptTokens: 3, completionTokens: 4, cost: 7 });
  expect(result.notes.join()).toContain('π₀ stands in for the improver');
  expect(markdown).toContain('improved: kept, external: perplexity_high');
});

test('a recipe without a teacher: the reference is chosen, nothing was spent', async () => {
  const id = await runWith(specOf('spin', ['policy'], 1), { 'ingest-policy': () => writeRows('policy'), 'generate-y-r1': () => writeAnswers('y'), 'pair-r1': () => bed.services.tables.write(tableSchemas.pairs, []) });
  const { result } = await previewOf(id, 1);
  expect(result.rows).toMatchObject([{ chosen: 'policy reference 0', rejected: 'y answer 0', verdicts: { pair: 'kept' } }]);
  expect(result.spent).toEqual({ calls: 0, promptTokens: 0, completionTokens: 0, cost: 0 });
});

test('given pairs', async () => {
  const id = await runWith(specOf('dpo', ['preferences'], 2), {
    'ingest-preferences': () => bed.services.tables.write(tableSchemas.preferences, [['good', 'bad'], ['same', 'same '], ['c', 'd']].map(([chosen = '', rejected = ''], pos) => (
      { id: `d${String(pos)}`, pos, prompt: ask('q'), chosen, rejected, source_row: pos }))),
    'pair-r1': () => bed.services.tables.write(tableSchemas.pairs, []),
  });
  expect((await previewOf(id, 2)).result.rows.map(({ chosen, rejected, verdicts }) => [chosen, rejected, verdicts])).toEqual([['good', 'bad', { pair: 'kept' }], ['same', 'same ', { pair: 'identical' }]]);
});
