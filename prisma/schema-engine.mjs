// Author's tool: Prisma's schema engine as WebAssembly over a pg connection. It needs no native binary, so that migrations can be
// written and checked wherever Node and a Postgres run.
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

const folder = dirname(fileURLToPath(import.meta.url));
export const schemaFile = join(folder, 'schema.prisma');
export const migrationsFolder = join(folder, 'migrations');

/** SQL that takes a database with every migration applied to schema.prisma; null when they agree. `url`: a server where databases may be made. */
export async function diffMigrationsWithSchema(url) {
  const engine = await openEngine(url);
  const schema = { files: [{ path: schemaFile, content: readFileSync(schemaFile, 'utf8') }] };
  const { stdout, exitCode } = await engine.diff({
    from: { tag: 'migrations', ...readMigrations() }, to: { tag: 'schemaDatamodel', ...schema },
    script: true, exitCode: true, shadowDatabaseUrl: null, filters: { externalTables: [], externalEnums: [] },
  });
  return exitCode === 0 ? null : stdout;
}

function readMigrations() {
  const lockfile = join(migrationsFolder, 'migration_lock.toml');
  const names = existsSync(migrationsFolder) ? readdirSync(migrationsFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort() : [];
  return {
    baseDir: migrationsFolder,
    lockfile: { path: 'migration_lock.toml', content: existsSync(lockfile) ? readFileSync(lockfile, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: names.map((path) => ({
      path, migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: readFileSync(join(migrationsFolder, path, 'migration.sql'), 'utf8') } },
    })),
  };
}

async function openEngine(url) {
  const wasm = join(dirname(createRequire(import.meta.url).resolve('prisma/build/index.js')), 'schema_engine_bg.wasm');
  const { instance } = await WebAssembly.instantiate(readFileSync(wasm), { './schema_engine_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message(message) { console.error('schema engine panicked:', message); } };
  return glue.SchemaEngine.new({ datamodels: [[schemaFile, readFileSync(schemaFile, 'utf8')]] }, () => undefined, bindMigrationAwareSqlAdapterFactory(adapterFactory(url)));
}

function adapterFactory(url) {
  const inDatabase = (name) => { const other = new URL(url); other.pathname = `/${name}`; return other.href; };
  const administer = async (sql) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try { await client.query(sql); } finally { await client.end(); }
  };
  return {
    provider: 'postgres', adapterName: '@prisma/adapter-pg',
    connect: () => connect(url, async () => undefined),
    connectToShadowDb: async () => {
      const name = `sgpo_shadow_${randomUUID().replaceAll('-', '')}`;
      await administer(`CREATE DATABASE ${name}`);
      return connect(inDatabase(name), () => administer(`DROP DATABASE ${name} WITH (FORCE)`));
    },
  };
}

const catalogueChar = 18;
const text = 25;

/** Reads columns of the catalogue's one-letter type "char" as text, which the adapter has no mapping for, and remembers which they were. */
class CataloguePool extends pg.Pool {
  charColumns = [];
  async query(...args) {
    const result = await super.query(...args);
    this.charColumns = (result.fields ?? []).flatMap((field, index) => (field.dataTypeID === catalogueChar ? [index] : []));
    for (const index of this.charColumns) result.fields[index].dataTypeID = text;
    return result;
  }
}

async function connect(connectionString, afterEnd) {
  const pool = new CataloguePool({ connectionString, max: 1 });
  const adapter = await new PrismaPg(pool).connect();
  const queryRaw = adapter.queryRaw.bind(adapter);
  const dispose = adapter.dispose.bind(adapter);
  adapter.queryRaw = async (query) => {
    const set = await queryRaw(query);
    for (const index of pool.charColumns) set.columnTypes[index] = ColumnTypeEnum.Character;
    return set;
  };
  // The adapter's own splits at every semicolon.
  adapter.executeScript = async (sql) => { await pool.query(sql); };
  adapter.dispose = async () => { await dispose(); await pool.end(); await afterEnd(); };
  return adapter;
}
