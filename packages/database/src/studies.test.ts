import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StudyId, TeamId } from '@sgpo/core';
import { openTestBed, plan, spec, type TestBed } from './testing/fixtures.ts';

let bed: TestBed;
beforeAll(async () => { bed = await openTestBed(); });
afterAll(() => bed.close());

const entries = ['sgpo', 'sgpo-v2', 'spin'].map((label, seed) => ({ label, preset: label, model: '/models/a', seed }));
const study = (idempotencyKey: string | null = null, bodyHash = 'a'.repeat(64), teamId: TeamId = bed.teamId) => ({
  teamId, name: 'table 5', request: { name: 'table 5', presets: ['sgpo'], text: 'NUL \0' }, idempotencyKey, bodyHash,
  runs: entries.map((entry) => ({ entry, plan, spec: { ...spec, name: entry.label, seed: entry.seed } })),
});

test('a study has all its runs, in order, each with its entry, steps and advance job', async () => {
  const { study: made, created } = await bed.database.studies.create(study());
  expect(created).toBe(true);
  expect(made).toMatchObject({ teamId: bed.teamId, name: 'table 5', request: { presets: ['sgpo'], text: 'NUL \uFFFD' } });
  const runs = await bed.database.studies.runsOf(made.id);
  expect(runs).toMatchObject(entries.map((studyEntry) => ({ studyId: made.id, studyEntry, state: 'queued', spec: { seed: studyEntry.seed }, tasksTotal: 3 })));
  for (const { id } of runs) expect(await bed.sql('SELECT queue FROM outbox WHERE payload->>\'runId\' = $1', [id])).toEqual([{ queue: 'advance' }]);
  expect(await bed.database.studies.get(made.id, bed.teamId)).toEqual(made);
});

test('twenty equal creates at once make one study with one set of runs', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => bed.database.studies.create(study('twenty'))));
  expect(new Set(answers.map((answer) => answer.study.id)).size).toBe(1);
  expect(answers.filter((answer) => answer.created)).toHaveLength(1);
  expect(await bed.database.studies.runsOf(answers[0]!.study.id)).toHaveLength(3);
});

test('a key with another body is refused, and is free for another team and for runs', async () => {
  const { study: first } = await bed.database.studies.create(study('conflict'));
  await expect(bed.database.studies.create(study('conflict', 'b'.repeat(64)))).rejects.toMatchObject({ code: 'RUN.IDEMPOTENCY_CONFLICT', message: expect.stringContaining(first.id) });
  expect((await bed.database.studies.create(study('conflict', 'b'.repeat(64), await bed.database.tokens.ensureTeam('other')))).created).toBe(true);
  expect((await bed.database.runs.create({ teamId: bed.teamId, spec, plan, idempotencyKey: 'conflict', bodyHash: 'c'.repeat(64) })).created).toBe(true);
});

test('a study of which one run cannot be written leaves nothing', async () => {
  const broken = study('broken');
  const runs = [...broken.runs.slice(0, 2), { ...broken.runs[2]!, plan: { ...plan, steps: [...plan.steps, plan.steps[0]!] } }];
  const before = await bed.sql('SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM outbox) AS jobs, (SELECT count(*) FROM study) AS studies');
  await expect(bed.database.studies.create({ ...broken, runs })).rejects.toThrow();
  expect(await bed.sql('SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM outbox) AS jobs, (SELECT count(*) FROM study) AS studies')).toEqual(before);
  expect((await bed.database.studies.create(broken)).created).toBe(true);
});

test('studies are listed newest first, in pages, for their own team', async () => {
  const teamId = await bed.database.tokens.ensureTeam('lister');
  const ids: StudyId[] = [];
  for (let n = 0; n < 3; n += 1) ids.unshift((await bed.database.studies.create({ ...study(null, 'a'.repeat(64), teamId), runs: [] })).study.id);
  const page = async (before: StudyId | null) => (await bed.database.studies.list({ teamId, limit: 2, before })).map(({ id }) => id);
  expect(await page(null)).toEqual(ids.slice(0, 2));
  expect(await page(ids[1]!)).toEqual(ids.slice(2));
  expect(await bed.database.studies.get(ids[0]!, bed.teamId)).toBeNull();
});
