import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Row } from '@sgpo/artifacts';
import { promptId, type DatasetSource, type Digest, type RowSpace, type RunSpec } from '@sgpo/core';
import type { TaskResult, TaskRow } from '@sgpo/database';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contextOf, openBed, type Bed } from '../testing/bed.ts';
import { ingest } from './ingest.ts';

/** From files of users to the tables that steps read, and what is on record about them. */
let bed: Bed;
beforeAll(async () => {
  bed = await openBed();
  await mkdir(bed.root, { recursive: true });
});
afterAll(() => bed.close());

const u = (content: string) => ({ role: 'user', content });
const a = (content: string) => ({ role: 'assistant', content });
const idOf = (content: string): string => promptId([{ role: 'user', content }]);

async function write(name: string, rows: readonly object[]): Promise<DatasetSource> {
  const path = join(bed.root, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return { path, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null };
}
const take = (source: DatasetSource, space: RowSpace, { inputs = {}, heldOutOverlap = 'drop', task = {} }: { readonly inputs?: Readonly<Record<string, Digest>>; readonly heldOutOverlap?: 'drop' | 'keep'; readonly task?: Partial<TaskRow> } = {}): Promise<TaskResult> =>
  ingest(contextOf(bed.services, task), { kind: 'ingest', parameters: { source, space, heldOutOverlap, scores: 'check' }, inputs });
async function tableOf({ output }: TaskResult): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of bed.services.tables.scan(output.digest)) rows.push(row);
  return rows;
}

test('prompts and answers, with what was read on record', async () => {
  const source = await write('policy.jsonl', [{ prompt: 'one', response: 'an answer' }, { prompt: '', response: 'x y' }, { prompt: 'two', response: 'zero\u200bwidth here' }]);
  const result = await take(source, 'policy');
  expect(result).toMatchObject({
    rowsIn: 3, rowsOut: 2, dropped: { empty_prompt: 1 },
    stats: {
      format: 'prompt-response', formats: { 'prompt-response': 2 }, container: 'jsonl', columns: ['prompt', 'response'], commit: null, flagged: { zero_width: 1 }, overlaps: 0,
      files: [{ name: 'policy.jsonl' }], sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    },
  });
  expect(await tableOf(result)).toEqual([
    { id: idOf('one'), pos: 0, prompt: [u('one')], response: 'an answer', source_row: 0 }, { id: idOf('two'), pos: 1, prompt: [u('two')], response: 'zero\u200bwidth here', source_row: 2 },
  ]);
});

test('whole conversations for Step 0', async () => {
  const messages = [u('one'), a('b c'), u('two'), a('d e')];
  const result = await take(await write('sft.jsonl', [{ prompt: 'one', messages }]), 'sft');
  expect(await tableOf(result)).toEqual([{ id: promptId(messages.slice(0, 3) as never), pos: 0, messages, source_row: 0 }]);
});

test('given pairs as texts', async () => {
  const result = await take(await write('pairs.jsonl', [{ chosen: [u('one'), a('good one')], rejected: [u('one'), a('bad one')], chosen_rating: 4, rejected_rating: 4 }, { chosen: [u('one'), a('good one')], rejected: [u('one'), a('bad one')], chosen_rating: 4, rejected_rating: 2 }]), 'preferences');
  expect(result).toMatchObject({ rowsOut: 1, dropped: { tied_scores: 1 } });
  expect(await tableOf(result)).toEqual([{ id: idOf('one'), pos: 0, prompt: [u('one')], chosen: 'good one', rejected: 'bad one', source_row: 1 }]);
});

test('prompts of other sets are dropped with their reasons, or kept and counted', async () => {
  const rows = (...prompts: readonly string[]) => prompts.map((prompt) => ({ prompt, response: 'an answer' }));
  const heldOut = (await take(await write('held.jsonl', rows('h')), 'heldOut')).output.digest;
  const improver = (await take(await write('imp.jsonl', rows('i', 'h')), 'improver', { inputs: { heldOut } }));
  expect(improver.dropped).toEqual({ evaluation_prompt: 1 });
  const source = await write('pol.jsonl', rows('p', 'i', 'h'));
  const inputs = { heldOut, improver: improver.output.digest };
  expect(await take(source, 'policy', { inputs })).toMatchObject({ rowsIn: 3, rowsOut: 1, dropped: { evaluation_prompt: 1, shared_prompt: 1 } });
  expect(await take(source, 'policy', { inputs, heldOutOverlap: 'keep' })).toMatchObject({ rowsOut: 2, dropped: { shared_prompt: 1 }, stats: { overlaps: 1 } });
});

test('a registered set is read from its own source, and must not have changed', async () => {
  const source = await write('registered.jsonl', [{ q: 'one', r: 'an answer' }, { q: 'two', r: 'an answer' }]);
  const columns = { prompt: 'q', response: 'r' };
  await bed.services.database.datasets.create({ teamId: bed.teamId, name: 'mine', space: 'policy', source: { ...source, columns }, license: null });
  const runId = await bed.run({ name: null, preset: 'sgpo', execution: { cache: false } } as unknown as RunSpec, { steps: [], models: [] });
  const named: DatasetSource = { ...source, path: null, dataset: 'mine', limit: 1 };
  const result = await take(named, 'policy', { task: { runId } });
  expect(result).toMatchObject({ rowsOut: 1, dropped: { over_limit: 1 } });
  const { sha256 } = result.stats as { sha256: string };
  await take({ ...named, sha256 }, 'policy', { task: { runId } });
  await write('registered.jsonl', [{ q: 'three', r: 'an answer' }]);
  await expect(take({ ...named, sha256 }, 'policy', { task: { runId } })).rejects.toMatchObject({ code: 'DATASET.CHANGED' });
  await expect(take({ ...named, dataset: 'yours' }, 'policy', { task: { runId } })).rejects.toMatchObject({ code: 'DATASET.UNKNOWN', problems: [{ field: 'data.policy.dataset', value: 'yours' }] });
});

test('a set without a usable row ends the step', async () => {
  await expect(take(await write('bad.jsonl', [{ prompt: ' ', response: 'x' }]), 'policy')).rejects.toMatchObject({ code: 'DATASET.NO_ROWS_LEFT', message: expect.stringContaining('empty_prompt') as string });
});
