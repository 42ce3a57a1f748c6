import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBDataChunk, type DuckDBAppender, type DuckDBConnection, type DuckDBValue } from '@duckdb/node-api';
import { onStore } from './disk-errors.ts';
import { fileBindings, quoteText, readParquet, type Bindings } from './duckdb.ts';
import type { CompiledSchema } from './schema.ts';
import { writeError } from './table-errors.ts';

/** A vector of DuckDB is 2048 rows, the least a row group can have: a shard of a few hundred rows then reads little more than itself. */
const vectorRows = 2048;
const rowGroups = `ROW_GROUP_SIZE ${String(vectorRows)}, PRESERVE_ORDER true`;
/** How final tables are written: fixed, so that equal rows give equal bytes. */
export const copyOptions = `FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ${rowGroups}`;
const pieceRows = 4 * vectorRows;
/** Rows handed to the database at a time: few enough that their texts die young, before the garbage collector takes them for lasting. */
export const appendedRows = 256;

/**
 * Rows on their way into a table file. The database holds a few vectors of them; full pieces go to Parquet files in `folder`, whose row groups are
 * the same vectors, so that the file in the end has the same bytes however many pieces there were.
 */
export interface Spool {
  /** Adds up to `appendedRows` rows; only the last call may have fewer. */
  append(rows: DuckDBValue[][]): Promise<void>;
  copyTo(path: string): Promise<void>;
  close(): Promise<void>;
}

export async function openSpool(connection: DuckDBConnection, table: string, schema: CompiledSchema, temporaryRoot: string): Promise<Spool> {
  const folder = join(temporaryRoot, `spool-${randomUUID()}`);
  const pieces: string[] = [];
  // One chunk for all: the garbage collector does not see the memory behind a chunk, and lets it pile up.
  const chunk = DuckDBDataChunk.create(schema.types);
  let appender: DuckDBAppender | null = null;
  let held = 0;

  async function run(sql: string, bindings?: Bindings): Promise<void> {
    await connection.run(sql, bindings?.values, bindings?.types).catch((error: unknown) => { throw writeError(error); });
  }
  async function empty(): Promise<void> {
    await run(`CREATE OR REPLACE TABLE ${table} (${schema.definitions})`);
    appender = await connection.createAppender(table);
    held = 0;
  }
  function release(): void {
    const closing = appender;
    appender = null;
    translated(() => closing?.closeSync());
  }
  async function spill(): Promise<void> {
    release();
    await onStore(() => mkdir(folder, { recursive: true }));
    const piece = join(folder, `${String(pieces.length)}.parquet`);
    await run(`COPY ${table} TO ${quoteText(piece)} (FORMAT parquet, COMPRESSION snappy, ${rowGroups})`);
    pieces.push(piece);
    await empty();
  }

  await empty();
  return {
    async append(rows) {
      if (held === pieceRows) await spill();
      chunk.reset();
      chunk.setRows(rows);
      // Left alone, the appender holds 200k rows before the database may spill them.
      translated(() => { appender?.appendDataChunk(chunk); appender?.flushSync(); });
      held += rows.length;
    },
    async copyTo(path) {
      if (pieces.length > 0) await spill();
      release();
      if (pieces.length === 0) await run(`COPY ${table} TO ${quoteText(path)} (${copyOptions})`);
      else await run(`COPY (SELECT * FROM ${readParquet('files')}) TO ${quoteText(path)} (${copyOptions})`, fileBindings('files', pieces));
    },
    async close() {
      appender?.clear();
      release();
      await connection.run(`DROP TABLE IF EXISTS ${table}`);
      await onStore(() => rm(folder, { recursive: true, force: true }));
    },
  };
}

function translated(action: () => void): void {
  try {
    action();
  } catch (error) {
    throw writeError(error);
  }
}
