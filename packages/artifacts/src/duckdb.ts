import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DuckDBArrayValue, DuckDBDecimalValue, DuckDBInstance, DuckDBListValue, DuckDBMapValue, DuckDBStructValue, LIST, VARCHAR, listValue,
  type DuckDBConnection, type DuckDBType, type DuckDBValue,
} from '@duckdb/node-api';
import { onStore } from './disk-errors.ts';

/** A DuckDB of its own in memory, that spills to a temporary folder. */
export interface Engine {
  connect(): Promise<DuckDBConnection>;
  /** Closes the database and removes its temporary folder. */
  close(): Promise<void>;
}

/** Values as plain JavaScript: what JSON can say, and bigint for integers beyond 2^53. */
export type Plain = string | number | bigint | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/** Values bound to the named parameters of a statement. */
export interface Bindings { readonly values: Record<string, DuckDBValue>; readonly types: Record<string, DuckDBType> }

/**
 * Opens an engine. One thread: rows keep the order of their file, and equal rows give equal bytes.
 * Extensions are never fetched; the settings cannot be changed by a statement.
 */
export async function openEngine({ temporaryRoot, memoryMb }: { readonly temporaryRoot: string; readonly memoryMb: number }): Promise<Engine> {
  const spill = join(temporaryRoot, `duckdb-${randomUUID()}`);
  await onStore(() => mkdir(spill, { recursive: true }));
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1', memory_limit: `${String(memoryMb)}MB`, temp_directory: spill,
    autoinstall_known_extensions: 'false', autoload_known_extensions: 'false', lock_configuration: 'true',
  });
  return {
    connect: () => instance.connect(),
    close: () => onStore(async () => {
      instance.closeSync();
      await rm(spill, { recursive: true, force: true });
    }),
  };
}

/**
 * Runs a query and yields its rows in constant memory. The connection is closed when the reader stops early, too.
 * Errors of DuckDB pass through `translate`. A stream that fails half-way looks to its reader like one that ended
 * (the error is not handed on), so the rows are counted first and a shortfall is an error.
 */
export async function* streamRows(engine: Engine, sql: string, bindings: Bindings, translate: (error: unknown) => unknown): AsyncGenerator<Record<string, Plain>> {
  const connection = await engine.connect();
  try {
    const counted = await connection.runAndReadAll(`SELECT count(*) FROM (${sql})`, bindings.values, bindings.types);
    let rowsLeft = Number(counted.getRows()[0]?.[0]);
    const result = await connection.stream(sql, bindings.values, bindings.types);
    const names = result.columnNames();
    while (rowsLeft > 0) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) throw new Error(`the result ended ${String(rowsLeft)} rows early`);
      rowsLeft -= chunk.rowCount;
      // Value by value: a chunk of 2048 rows may be small in the file and beyond any memory as text.
      const columns = names.map((name, at) => [name, chunk.getColumnVector(at)] as const);
      for (let row = 0; row < chunk.rowCount; row += 1) yield Object.fromEntries(columns.map(([name, values]) => [name, toPlain(values.getItem(row))]));
    }
  } catch (error) {
    throw translate(error);
  } finally {
    connection.closeSync();
  }
}

/** Binds a list of files to the parameter `name` of `readParquet`. */
export function fileBindings(name: string, paths: readonly string[]): Bindings {
  return { values: { [name]: listValue(paths.map(escapeGlob)) }, types: { [name]: LIST(VARCHAR) } };
}

/** The table function that reads the Parquet files bound to `$name`. Columns are matched by name; folder names like `k=v` add none. */
export const readParquet = (name: string): string => `read_parquet($${name}, hive_partitioning = false)`;

/** Joins bindings; names must differ. */
export const mergeBindings = (...all: readonly Bindings[]): Bindings => ({
  values: Object.assign({}, ...all.map((one) => one.values)), types: Object.assign({}, ...all.map((one) => one.types)),
});

export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

// read_parquet takes patterns; a character in brackets stands for itself.
const escapeGlob = (path: string): string => path.replaceAll(/[*?[]/g, '[$&]');

/** Integers up to 2^53 become numbers, lists arrays, structs objects, maps lists of {key, value}, decimals numbers; all else (dates, blobs, …) its text. */
function toPlain(value: DuckDBValue): Plain {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toPlain);
  if (value instanceof DuckDBStructValue) return Object.fromEntries(Object.entries(value.entries).map(([key, entry]) => [key, toPlain(entry)]));
  if (value instanceof DuckDBMapValue) return value.entries.map((entry) => ({ key: toPlain(entry.key), value: toPlain(entry.value) }));
  if (value instanceof DuckDBDecimalValue) return value.toDouble();
  return String(value);
}
