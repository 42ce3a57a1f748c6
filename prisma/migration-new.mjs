// Author's tool: `DATABASE_URL=… node prisma/migration-new.mjs add_owner` writes the SQL that takes prisma/migrations to schema.prisma
// into a new migration folder. DATABASE_URL names a server where databases may be made; its data is not touched.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diffMigrationsWithSchema, migrationsFolder } from './schema-engine.mjs';

const [name] = process.argv.slice(2);
const url = process.env.DATABASE_URL;
if (name === undefined || !/^[a-z0-9_]+$/.test(name)) fail(`Give the migration a name of a-z, 0-9 and _, for example "add_owner"; got ${JSON.stringify(name ?? null)}`);
if (url === undefined) fail('Set DATABASE_URL to a Postgres server where databases may be made');

const sql = await diffMigrationsWithSchema(url);
if (sql === null) {
  console.log('prisma/migrations and schema.prisma agree: nothing to write');
} else {
  const folder = join(migrationsFolder, `${new Date().toISOString().replace(/[-:T]/g, '').slice(0, 14)}_${name}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'migration.sql'), sql);
  console.log(`${folder}/migration.sql`);
}
process.exit(0);

function fail(message) {
  console.error(message);
  process.exit(2);
}
