import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ModelSource, Plan, RunId, RunSpec, SgpoError, TeamId } from '@sgpo/core';
import type { TaskResult } from '@sgpo/database';
import { createAdvance } from '../advance.ts';
import { contextOf, openBed, resultOf, type Bed } from '../testing/bed.ts';
import { tableSchemas } from '../table-schemas.ts';
import { importModel } from './import-model.ts';

let bed: Bed;
beforeAll(async () => { bed = await openBed(); });
afterAll(() => bed.close());

const plan: Plan = {
  steps: [{ key: 'import-model', kind: 'import-model', title: '', space: null, inputs: {}, parameters: { model: { path: '/m', artifact: null, from: null }, needsChatTemplate: true } }],
  models: [{ name: 'pi0', title: 'π₀', step: 'import-model' }],
};
const spec = { name: null, preset: 'sft', teacher: null, execution: { shardRows: 8, cache: true, checkpointSeconds: 60 } } as unknown as RunSpec;

async function startRun(team?: TeamId): Promise<RunId> {
  const id = await bed.run(spec, plan, team);
  await createAdvance(bed.services)(id);
  return id;
}

let folders = 0;
/** A model folder; each has weights of its own. */
async function folder(template = '{{ messages }}'): Promise<string> {
  folders += 1;
  const path = join(bed.root, `model-${String(folders)}`);
  await mkdir(path, { recursive: true });
  const header = Buffer.from(JSON.stringify({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(join(path, 'model.safetensors'), Buffer.concat([length, header, Buffer.from([folders, 0, 0, 0])]));
  await writeFile(join(path, 'config.json'), '{"architectures":["LlamaForCausalLM"]}');
  await writeFile(join(path, 'tokenizer.json'), '{}');
  await writeFile(join(path, 'tokenizer_config.json'), JSON.stringify(template === '' ? {} : { chat_template: template }));
  await writeFile(join(path, 'evil.bin'), 'pickle');
  return path;
}

const importOf = (id: RunId, model: Partial<ModelSource>, needsChatTemplate = true): Promise<TaskResult> =>
  importModel(contextOf(bed.services, { runId: id }), { kind: 'import-model', field: 'model', parameters: { model: { path: null, artifact: null, from: null, ...model }, needsChatTemplate } });

const refusal = (result: Promise<TaskResult>): Promise<SgpoError> => result.then(() => { throw new Error('it was taken'); }, (error: unknown) => error as SgpoError);

/** A model that a run of the team made. */
async function made(path: string, team?: TeamId): Promise<TaskResult> {
  const id = await startRun(team);
  const result = await importOf(id, { path }, false);
  await bed.finish(id, 'import-model', result);
  return result;
}

test('a folder becomes an artifact of the files a model needs; an artifact is handed on as it is', async () => {
  const first = await made(await folder());
  expect(first.output.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']);
  const second = await importOf(await startRun(), { artifact: first.output.digest });
  expect(second).toMatchObject({ output: { digest: first.output.digest, kind: 'model', files: first.output.files, meta: first.output.meta }, stats: { architecture: 'LlamaForCausalLM' } });
});

test('another team\'s model, a table, and what nobody made are refused alike', async () => {
  const theirs = await made(await folder(), await bed.services.database.tokens.ensureTeam('others'));
  const table = resultOf(await bed.services.tables.write(tableSchemas.requests, []));
  const id = await startRun();
  await bed.finish(id, 'import-model', table);
  for (const artifact of [theirs.output.digest, table.output.digest, 'f'.repeat(64), '../../etc']) {
    const error = await refusal(importOf(await startRun(), { artifact }));
    expect([error.code, error.problems[0]?.field, error.problems[0]?.value]).toEqual(['ARTIFACT.NOT_FOUND', 'model.artifact', artifact]);
  }
});

test('a model whose files are gone', async () => {
  const { output } = await made(await folder());
  await rm(join(bed.services.store.path(output.digest), 'model.safetensors'));
  expect((await refusal(importOf(await startRun(), { artifact: output.digest }))).code).toBe('ARTIFACT.MISSING_FILES');
});

test('a base model without a chat template passes only where Step 0 follows', async () => {
  const path = await folder('');
  const { output } = await made(path);
  const id = await startRun();
  for (const model of [{ path }, { artifact: output.digest }]) {
    expect((await refusal(importOf(id, model))).code).toBe('MODEL.NO_CHAT_TEMPLATE');
    expect((await importOf(id, model, false)).output.digest).toBe(output.digest);
  }
});
