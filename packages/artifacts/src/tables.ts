import { join } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import type { Digest } from '@sgpo/core';
import { fileBindings, mergeBindings, openEngine, quoteName, quoteText, readParquet, streamRows, type Engine } from './duckdb.ts';
import { checkNames, openCursor, pick, posOf, type JoinPart, type TableSource } from './join-cursor.ts';
import { columnsOf, orderFiles, rangeBindings, whereOf, type PosRange } from './pos-order.ts';
import { compileSchema, type Cell, type CompiledSchema, type Row, type TableSchema } from './schema.ts';
import type { ArtifactStore, Published } from './store.ts';
import { appendedRows, copyOptions, openSpool, type Spool } from './table-spool.ts';
import { locateError, noColumn, readError, tableFile, writeError } from './table-errors.ts';

/** A published table; `rows` is how many it holds. */
export interface PublishedTable extends Published { readonly rows: number }

/**
 * Parquet tables in the artifact store. Constant memory: what does not fit spills to the temporary folder.
 * Reading throws ARTIFACT.MISSING_FILES for tables that are gone, ARTIFACT.CORRUPT for files that cannot be read or lack a column;
 * every method throws STORE.FULL or STORE.UNAVAILABLE when the disk fails.
 */
export interface Tables {
  /** Writes rows in the order given. Equal rows and schema give an equal digest. TypeError when a row does not fit the schema. */
  write(schema: TableSchema, rows: AsyncIterable<Row> | Iterable<Row>): Promise<PublishedTable>;
  /** Rows by `pos` where the table has that column (equal ones in file order), else in file order. `from` and `to` need the column. */
  scan(source: TableSource, options?: PosRange & { readonly columns?: readonly string[] }): AsyncIterable<Row>;
  /** The first part's rows by `pos`, with `id`, `pos` and the named columns of every part at the same `pos`; null where a part has no such row. */
  join(parts: Readonly<Record<string, JoinPart>>, options?: PosRange): AsyncIterable<Row>;
  /** All rows of the sources by `pos`, as one table: equal to `write` of those rows. */
  concatenate(schema: TableSchema, sources: readonly Digest[]): Promise<PublishedTable>;
  count(source: TableSource): Promise<number>;
  /** Frees the database. No method may be called after. */
  close(): Promise<void>;
}

/** Tables of `store`. `temporaryRoot` holds what does not fit into `memoryMb` (default 256) while a call runs. */
export function createTables({ store, temporaryRoot, memoryMb = 256 }: { readonly store: ArtifactStore; readonly temporaryRoot: string; readonly memoryMb?: number }): Tables {
  let opened: Promise<Engine> | null = null;
  let closed = false;
  async function engine(): Promise<Engine> {
    if (closed) throw new TypeError('the tables are closed');
    opened ??= openEngine({ temporaryRoot, memoryMb }).catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return opened;
  }
  let tableCount = 0;

  async function withConnection<T>(action: (connection: DuckDBConnection, table: string) => Promise<T>): Promise<T> {
    const connection = await (await engine()).connect();
    try {
      return await action(connection, `rows_${String(tableCount += 1)}`);
    } finally {
      connection.closeSync();
    }
  }

  async function write(schema: TableSchema, rows: AsyncIterable<Row> | Iterable<Row>): Promise<PublishedTable> {
    const compiled = compileSchema(schema);
    return withConnection(async (connection, table) => {
      const spool = await openSpool(connection, table, compiled, temporaryRoot);
      try {
        const count = await appendRows(spool, compiled, rows);
        return { ...await store.publish((dir) => spool.copyTo(join(dir, tableFile))), rows: count };
      } finally {
        await spool.close();
      }
    });
  }

  async function concatenate(schema: TableSchema, sources: readonly Digest[]): Promise<PublishedTable> {
    if (!Object.hasOwn(schema, 'pos')) throw new TypeError('tables are put together by the column "pos", which the schema has not');
    const compiled = compileSchema(schema);
    return withConnection(async (connection, table) => {
      await connection.run(`CREATE TABLE ${table} (${compiled.definitions})`);
      try {
        const rows = await insertSources(connection, table, compiled, sources);
        const published = await store.publish(async (dir) => {
          await connection.run(`COPY ${table} TO ${quoteText(join(dir, tableFile))} (${copyOptions})`).catch((error: unknown) => { throw writeError(error); });
        });
        return { ...published, rows };
      } finally {
        await connection.run(`DROP TABLE IF EXISTS ${table}`);
      }
    });
  }

  async function insertSources(connection: DuckDBConnection, table: string, schema: CompiledSchema, sources: readonly Digest[]): Promise<number> {
    const paths = await locate(sources);
    if (paths.length === 0) return 0;
    const { files, order } = await orderFiles(await engine(), paths, {}, (error) => readError(error, sources));
    if (files.length === 0) return 0;
    const { values, types } = fileBindings('files', files);
    // Through a table: the Parquet writer then sees the same full vectors as those of `write`, and gives the same bytes.
    const sql = `INSERT INTO ${table} SELECT ${schema.selection} FROM ${readParquet('files')}${order}`;
    const result = await connection.run(sql, values, types).catch((error: unknown) => { throw readError(error, sources); });
    return result.rowsChanged;
  }

  async function* scan(source: TableSource, options: PosRange & { readonly columns?: readonly string[] } = {}): AsyncGenerator<Row> {
    const sources = digestsOf(source);
    const paths = await locate(sources);
    if (paths.length === 0) return;
    const translate = (error: unknown): unknown => readError(error, sources);
    const available = await columnsOf(await engine(), paths, translate);
    const wanted = options.columns ?? available;
    for (const column of [...wanted, ...options.from === undefined && options.to === undefined ? [] : ['pos']]) {
      if (!available.includes(column)) throw noColumn(column, sources, available);
    }
    const { files, order } = available.includes('pos') ? await orderFiles(await engine(), paths, options, translate) : { files: paths, order: '' };
    if (files.length === 0) return;
    const sql = `SELECT ${wanted.map(quoteName).join(', ')} FROM ${readParquet('files')}${whereOf(options)}${order}`;
    // Tables hold the column types of a schema alone, and those come back as cells.
    yield* streamRows(await engine(), sql, mergeBindings(fileBindings('files', files), rangeBindings(options)), translate) as AsyncIterable<Row>;
  }

  async function* joinParts(parts: Readonly<Record<string, JoinPart>>, options: PosRange = {}): AsyncGenerator<Row> {
    const [first, ...others] = Object.values(parts);
    if (first === undefined) throw new TypeError('a join needs a part');
    checkNames(Object.values(parts));
    const read = (part: JoinPart, keys: readonly string[]): AsyncIterable<Row> => scan(part.source, { ...options, columns: [...new Set([...keys, ...Object.values(part.columns)])] });
    const cursors = others.map((part) => openCursor(part, read(part, ['pos'])));
    try {
      for await (const row of read(first, ['id', 'pos'])) {
        const joined: Record<string, Cell | undefined> = { id: row['id'], pos: row['pos'], ...pick(first, row) };
        for (const cursor of cursors) Object.assign(joined, await cursor.at(posOf(row)));
        yield joined;
      }
    } finally {
      for (const cursor of cursors) await cursor.close();
    }
  }

  async function count(source: TableSource): Promise<number> {
    const sources = digestsOf(source);
    const paths = await locate(sources);
    if (paths.length === 0) return 0;
    const rows = streamRows(await engine(), `SELECT count(*) AS n FROM ${readParquet('files')}`, fileBindings('files', paths), (error) => readError(error, sources));
    for await (const row of rows) return Number(row['n']);
    return 0;
  }

  /** Paths of the tables' files, each checked to be there in full. */
  async function locate(sources: readonly Digest[]): Promise<string[]> {
    const paths: string[] = [];
    for (const digest of sources) paths.push((await store.locate(digest, tableFile).catch((error: unknown) => { throw locateError(error, digest); })).absolute);
    return paths;
  }

  async function close(): Promise<void> {
    closed = true;
    await (await opened)?.close();
    opened = null;
  }

  return { write, scan, join: joinParts, concatenate, count, close };
}

/** Appends in equal pieces, whatever the pieces the rows come in. Returns how many there were. */
async function appendRows(spool: Spool, schema: CompiledSchema, rows: AsyncIterable<Row> | Iterable<Row>): Promise<number> {
  let count = 0;
  let pending: DuckDBValue[][] = [];
  for await (const row of rows) {
    pending.push(schema.convertRow(row, count));
    count += 1;
    if (pending.length < appendedRows) continue;
    await spool.append(pending);
    pending = [];
  }
  if (pending.length > 0) await spool.append(pending);
  return count;
}

const digestsOf = (source: TableSource): readonly Digest[] => typeof source === 'string' ? [source] : source;
