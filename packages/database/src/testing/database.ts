import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { migrate, migrationsDirectory } from '../migrate.ts';

export interface TestDatabase { readonly url: string; readonly drop: () => Promise<void> }

const localServer = 'postgres://postgres@127.0.0.1:5432/postgres';
/** Advisory lock under which the template is made. */
const templateLock = 72_707_370;

/**
 * A migrated database of its own for a test file, on the server of SGPO_TEST_DATABASE_URL (default: the local one). It is a copy of a
 * template that is made once for each state of the migrations and stays on the server.
 */
export async function createTestDatabase(serverUrl: string = process.env['SGPO_TEST_DATABASE_URL'] ?? localServer): Promise<TestDatabase> {
  const name = `sgpo_test_${randomUUID().replaceAll('-', '')}`;
  await administer(serverUrl, async (admin) => {
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${await ensureTemplate(admin, serverUrl)}`);
    await admin.query(`ALTER DATABASE ${name} SET synchronous_commit = off`); // it need not outlive a power cut
  });
  return { url: urlOf(serverUrl, name), drop: () => administer(serverUrl, async (admin) => { await admin.query(`DROP DATABASE ${name} WITH (FORCE)`); }) };
}

async function ensureTemplate(admin: pg.Client, serverUrl: string): Promise<string> {
  const name = `sgpo_template_${await hashOfMigrations()}`;
  await admin.query('SELECT pg_advisory_lock($1)', [templateLock]);
  const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
  if (rowCount === 0) {
    // Under another name until it is whole: a copy is never made of half a template.
    await admin.query(`DROP DATABASE IF EXISTS ${name}_new WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${name}_new`);
    await migrate(urlOf(serverUrl, `${name}_new`));
    await admin.query(`ALTER DATABASE ${name}_new RENAME TO ${name}`);
  }
  return name;
}

async function hashOfMigrations(): Promise<string> {
  const hash = createHash('sha256');
  const names = (await readdir(migrationsDirectory, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name).toSorted();
  for (const name of names) hash.update(name).update(await readFile(join(migrationsDirectory, name, 'migration.sql')));
  return hash.digest('hex').slice(0, 16);
}

async function administer(url: string, work: (admin: pg.Client) => Promise<void>): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try { await work(admin); } finally { await admin.end(); }
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
