import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DatasetSource } from '@sgpo/core';
import type { DatasetRow } from '@sgpo/database';
import { openBed, type Bed } from '../testing/bed.ts';
import { createRegistrar } from './register.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await openBed();
  await mkdir(bed.root, { recursive: true });
});
afterAll(() => bed.close());

const goOn = new AbortController().signal;
const sourceOf = (path: string): DatasetSource => ({ path, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null });

let names = 0;
/** A data set that waits to be read; `lines` null: there is no such file. */
async function create(lines: readonly unknown[] | null): Promise<DatasetRow> {
  names += 1;
  const path = join(bed.root, `set-${String(names)}.jsonl`);
  if (lines !== null) await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return bed.services.database.datasets.create({ teamId: bed.teamId, name: `set-${String(names)}`, space: 'improver', source: sourceOf(path), license: null });
}
async function after(dataset: DatasetRow): Promise<DatasetRow> {
  const found = await bed.services.database.datasets.get(dataset.id);
  if (found === null) throw new Error('gone');
  return found;
}

test('what a set holds is counted whole, and is written down with the digest of its bytes', async () => {
  const dataset = await create([{ prompt: 'a', response: 'b' }, { prompt: 'c', response: ' ' }, { prompt: 'd', response: 'e' }]);
  await createRegistrar(bed.services)(dataset.id, goOn);
  const found = await after(dataset);
  expect(found).toMatchObject({
    state: 'ready', failure: null, schema: { format: 'prompt-response', columns: ['prompt', 'response'] }, counts: { rowsIn: 3, rowsOut: 2, dropped: { empty_response: 1 } },
  });
  expect(found.sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(found.preview).toHaveLength(2);
});

test.each([
  ['a file that is not there', null, 'DATASET.NOT_FOUND'], ['rows of which none is usable', [{ prompt: ' ', response: 'b' }], 'DATASET.NO_ROWS_LEFT'],
  ['rows with other columns', [{ colour: 'red' }], 'DATASET.WRONG_COLUMNS'],
])('%s: the registration fails, and says why', async (_, lines, code) => {
  const dataset = await create(lines);
  await createRegistrar(bed.services)(dataset.id, goOn);
  const { state, failure } = await after(dataset);
  expect([state, failure?.code]).toEqual(['failed', code]);
  expect(failure?.message).toContain('source');
});

test('a process that ends leaves the registration to the next one', async () => {
  const dataset = await create([{ prompt: 'a', response: 'b' }]);
  const stop = new AbortController();
  stop.abort('shutdown');
  await createRegistrar(bed.services)(dataset.id, stop.signal);
  expect((await after(dataset)).state).toBe('registering');
  const register = createRegistrar(bed.services);
  await Promise.all([register(dataset.id, goOn), register(dataset.id, goOn)]);
  expect((await after(dataset)).state).toBe('ready');
});
