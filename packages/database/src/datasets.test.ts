import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DatasetId } from '@sgpo/core';
import type { DatasetFacts } from './repositories.ts';
import { failure, openTestBed, sourceOf, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

const register = (name: string, teamId = bed.teamId) => bed.database.datasets.create({ teamId, name, space: 'policy', source: sourceOf('a.jsonl', 5), license: 'MIT' });
const facts: DatasetFacts = {
  schema: { format: 'prompt-response', columns: ['prompt', 'response'] }, counts: { rowsIn: 5, rowsOut: 3, dropped: { empty_prompt: 2 }, flagged: { bidi: 1 } },
  sha256: 'a'.repeat(64), preview: [{ prompt: [{ role: 'user', content: 'NUL \0' }] }],
};

test('a data set is registered with its job, and ready with what was found', async () => {
  const made = await register('whole');
  expect(made).toMatchObject({ state: 'registering', space: 'policy', source: sourceOf('a.jsonl', 5), license: 'MIT', schema: null, counts: null, sha256: null, preview: null, failure: null });
  expect(await bed.sql('SELECT queue FROM outbox WHERE payload->>\'datasetId\' = $1', [made.id])).toEqual([{ queue: 'register' }]);
  expect(await bed.database.datasets.unfinished()).toContain(made.id);
  const ends = await Promise.all(Array.from({ length: 5 }, () => bed.database.datasets.finish(made.id, facts)));
  expect(ends.filter(Boolean)).toHaveLength(1);
  expect(await bed.database.datasets.fail(made.id, failure)).toBe(false);
  const found = await bed.database.datasets.find(bed.teamId, 'whole');
  expect(found).toMatchObject({ ...facts, id: made.id, state: 'ready', preview: [{ prompt: [{ role: 'user', content: 'NUL \uFFFD' }] }], failure: null });
  expect(await bed.database.datasets.get(made.id)).toEqual(found);
  expect(await bed.database.datasets.unfinished()).not.toContain(made.id);
});

test('counts that do not add up are refused', async () => {
  const { id } = await register('unbalanced');
  await expect(bed.database.datasets.finish(id, { ...facts, counts: { ...facts.counts, rowsOut: 4 } })).rejects.toThrow('rows do not add up');
  expect(await bed.database.datasets.get(id)).toMatchObject({ state: 'registering' });
});

test('of ten equal names at once one is registered; the name is free for another team', async () => {
  const answers = await Promise.allSettled(Array.from({ length: 10 }, () => register('race')));
  expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(1);
  for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: 'DATASET.NAME_TAKEN', problems: [{ field: 'name', value: 'race' }] });
  expect((await register('race', await bed.database.tokens.ensureTeam('other'))).state).toBe('registering');
});

test('one that failed is replaced by the next of its name, once', async () => {
  const broken = await register('again');
  expect(await bed.database.datasets.fail(broken.id, failure)).toBe(true);
  expect(await bed.database.datasets.find(bed.teamId, 'again')).toMatchObject({ state: 'failed', failure });
  const answers = await Promise.allSettled(Array.from({ length: 5 }, () => register('again')));
  expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(1);
  expect(await bed.database.datasets.get(broken.id)).toBeNull();
  expect(await bed.database.datasets.finish(broken.id, facts)).toBe(false);
  expect(await bed.database.datasets.find(bed.teamId, 'again')).toMatchObject({ state: 'registering', failure: null });
});

test('data sets are listed newest first, in pages, for their own team', async () => {
  const teamId = await bed.database.tokens.ensureTeam('lister');
  const ids: DatasetId[] = [];
  for (const name of ['a', 'b', 'c']) ids.unshift((await register(name, teamId)).id);
  const page = async (before: DatasetId | null) => (await bed.database.datasets.list({ teamId, limit: 2, before })).map(({ id }) => id);
  expect(await page(null)).toEqual(ids.slice(0, 2));
  expect(await page(ids[1]!)).toEqual(ids.slice(2));
  expect(await bed.database.datasets.find(bed.teamId, 'c')).toBeNull();
});
