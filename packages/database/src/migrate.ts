import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** The migrations of this product: prisma/migrations at the root of the checkout. */
export const migrationsDirectory = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** The key under which Prisma's own engine takes its turn: the two never migrate a database at the same time. */
const advisoryLock = 72_707_369;

/** The table of `prisma migrate`, as it creates it. */
const bookkeeping = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT,
  rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;

interface Migration { readonly name: string; readonly sql: string; readonly checksum: string }
interface AppliedRow { readonly migration_name: string; readonly checksum: string; readonly finished_at: Date | null }

/**
 * Applies the migrations of `directory` that the database does not have yet, in order of name, a transaction each, and records them
 * as `prisma migrate deploy` does. Processes that start together take turns. Returns the names it applied.
 */
export async function migrate(url: string, directory: string = migrationsDirectory): Promise<string[]> {
  const migrations = await readMigrations(directory);
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined); // the query under way fails with the same error
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [advisoryLock]);
    await client.query(bookkeeping);
    const { rows } = await client.query<AppliedRow>('SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL');
    const pending = pendingOf(migrations, new Map(rows.map((row) => [row.migration_name, row])));
    for (const migration of pending) await apply(client, migration);
    return pending.map((migration) => migration.name);
  } finally {
    await client.end(); // lets go of the advisory lock too
  }
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).toSorted();
  return Promise.all(names.map(async (name) => {
    const bytes = await readFile(join(directory, name, 'migration.sql'));
    return { name, sql: bytes.toString('utf8'), checksum: createHash('sha256').update(bytes).digest('hex') };
  }));
}

function pendingOf(migrations: readonly Migration[], applied: ReadonlyMap<string, AppliedRow>): Migration[] {
  return migrations.filter((migration) => {
    const row = applied.get(migration.name);
    if (row === undefined) return true;
    if (row.finished_at === null) throw new Error(`migration ${migration.name} failed half-way before: repair the database and set its rolled_back_at in _prisma_migrations`);
    if (row.checksum !== migration.checksum) throw new Error(`migration ${migration.name} was changed after it was applied: restore the file and write a new migration`);
    return false;
  });
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query(
      'INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count) VALUES ($1, $2, $3, now(), clock_timestamp(), 1)',
      [randomUUID(), checksum, name],
    );
    await client.query('COMMIT');
  } catch (cause) {
    await client.query('ROLLBACK');
    throw new Error(`migration ${name} failed and was rolled back: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
