import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { RunId, RunSpec } from '@sgpo/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, migrationsDirectory } from './migrate.ts';
import { createDatabase } from './database.ts';
import { createTestDatabase, type TestDatabase } from './testing/database.ts';
import { spec, teacher } from './testing/fixtures.ts';

let target: TestDatabase;
let folder: string;
beforeEach(async () => {
  target = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'sgpo-migrations-'));
  await query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
});
afterEach(async () => { await target.drop(); rmSync(folder, { recursive: true }); });

async function query(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: target.url });
  await client.connect();
  try { return (await client.query<Record<string, unknown>>(sql, [...values])).rows; } finally { await client.end(); }
}
function write(name: string, sql: string): void {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, 'migration.sql'), sql);
}

test('processes that start together apply each migration once, in order, and record it as Prisma does', async () => {
  const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(target.url, migrationsDirectory)));
  const names = applied.flat();
  expect(names).toEqual(names.toSorted());
  expect(names.length).toBeGreaterThan(0);
  expect(new Set(names).size).toBe(names.length);
  const rows = await query('SELECT migration_name, length(id) AS id, length(checksum) AS checksum, applied_steps_count, logs, rolled_back_at, finished_at >= started_at AS finished FROM _prisma_migrations ORDER BY started_at');
  expect(rows).toEqual(names.map((name) => ({ migration_name: name, id: 36, checksum: 64, applied_steps_count: 1, logs: null, rolled_back_at: null, finished: true })));
  expect(await migrate(target.url, migrationsDirectory)).toEqual([]);
});

test('a migration that fails leaves nothing of itself, and the ones before it stay', async () => {
  cpSync(migrationsDirectory, folder, { recursive: true });
  write('29990101000000_broken', 'CREATE TABLE half (id int); SELECT nothing FROM nowhere;');
  await expect(migrate(target.url, folder)).rejects.toThrow(/29990101000000_broken failed and was rolled back: .*nowhere/);
  expect(await query('SELECT to_regclass(\'half\') AS half, to_regclass(\'run\') IS NOT NULL AS run')).toEqual([{ half: null, run: true }]);
  write('29990101000000_broken', 'CREATE TABLE whole (id int);');
  expect(await migrate(target.url, folder)).toEqual(['29990101000000_broken']);
});

test('a migration that was changed after it was applied, or that failed half-way, is refused', async () => {
  write('1_first', 'CREATE TABLE a (id int);');
  await migrate(target.url, folder);
  write('1_first', 'CREATE TABLE b (id int);');
  await expect(migrate(target.url, folder)).rejects.toThrow('1_first was changed after it was applied');
  await query('UPDATE _prisma_migrations SET finished_at = NULL');
  await expect(migrate(target.url, folder)).rejects.toThrow('1_first failed half-way');
});

describe('runs of before the whole method', () => {
  const oldTraining = {
    epochs: 3, learningRate: 1e-5, batchSize: 4, microBatchSize: 2, maxLength: 64, warmupRatio: 0.1, scheduler: 'cosine', weightDecay: 0, maxGradNorm: 1,
    dtype: 'float32', saveDtype: 'float32', gradientCheckpointing: false,
  };
  const oldSpec = {
    name: 'old', preset: 'sgpo', seed: 1, model: { path: '/models/a' }, data: { improver: { path: 'a.jsonl', limit: null }, policy: { path: 'b.jsonl', limit: 8 }, heldOut: null as object | null },
    recipe: { improver: 'shared', targets: ['improved', 'external'], referenceInTraining: false, referenceInRefining: true, chosen: 'refined', rounds: 1 },
    teacher: { baseUrl: 'http://127.0.0.1:1/v1', model: 't', apiKey: null, temperature: 0, topP: 1, maxTokens: 8, seed: null, concurrency: 1, timeoutSeconds: 1, maxAttempts: 1, price: null },
    sampling: spec.sampling, evaluation: spec.evaluation, filter: spec.filter, improverTraining: oldTraining,
    preference: { ...oldTraining, epochs: 1, loss: 'ipo', beta: 0.1, labelSmoothing: 0, reference: 'round' }, execution: spec.execution,
  };
  const source = spec.data.policy;

  test.each([['without a held-out set', null, null], ['with one', { path: 'c.jsonl', limit: 2 }, { ...source, path: 'c.jsonl', limit: 2 }]])('%s have the spec of a run of today', async (_, heldOut, wanted) => {
    cpSync(migrationsDirectory, folder, { recursive: true });
    rmSync(join(folder, '20261124105458_whole_method'), { recursive: true });
    await migrate(target.url, folder);
    await query('INSERT INTO team (id, name) VALUES (\'team_1\', \'default\')');
    await query('INSERT INTO run (id, team_id, preset, state, spec) VALUES (\'run_1\', \'team_1\', \'sgpo\', \'succeeded\', $1)', [{ ...oldSpec, data: { ...oldSpec.data, heldOut } }]);
    expect(await migrate(target.url, migrationsDirectory)).toEqual(['20261124105458_whole_method']);
    const database = createDatabase({ url: target.url, poolSize: 1 });
    const run = await database.runs.get('run_1' as RunId);
    expect(await database.ledger.spent('run_1' as RunId)).toEqual({ calls: 0, promptTokens: 0, completionTokens: 0 });
    await database.close();
    const today: RunSpec = {
      ...spec, name: 'old', teacher, data: { ...spec.data, heldOut: wanted as RunSpec['data']['heldOut'] }, sftTraining: { ...spec.sftTraining, epochs: 1 },
      improverTraining: { ...spec.improverTraining, epochs: 3 }, preference: { ...spec.preference, loss: ['ipo'] },
    };
    expect(run).toMatchObject({ budget: { tokens: null, cost: null }, pauseReason: null, studyId: null, studyEntry: null });
    expect(run?.spec).toEqual(today);
  });
});
