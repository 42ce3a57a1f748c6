import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate, migrationsDirectory } from './migrate.ts';
import { createTestDatabase, type TestDatabase } from './testing/database.ts';

let target: TestDatabase;
let folder: string;
beforeEach(async () => {
  target = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'sgpo-migrations-'));
  await query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
});
afterEach(async () => { await target.drop(); rmSync(folder, { recursive: true }); });

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: target.url });
  await client.connect();
  try { return (await client.query<Record<string, unknown>>(sql)).rows; } finally { await client.end(); }
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
