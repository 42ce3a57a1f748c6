import { tmpdir } from 'node:os';
import { DuckDBListType, DuckDBStructType, DuckDBVarCharType, type DuckDBType } from '@duckdb/node-api';
import { fileBindings, openEngine, quoteName, quoteText, readParquet, streamRows, type Engine } from './duckdb.ts';
import { FileError } from './file-error.ts';
import { maxLineBytes, type FileRow, type RowReading } from './json-lines.ts';

/** What 2048 rows, which are read at once, may take. */
const memoryMb = 1024;

function translate(error: unknown): FileError {
  if (error instanceof Error && error.message.startsWith('Out of Memory')) return new FileError(`its rows are too large: 2048 of them take more than ${String(memoryMb)} MB`, 'Write it again with shorter rows, or as JSON lines', error);
  return new FileError('it is not a whole, readable Parquet file', 'Write or download it again; encrypted files cannot be read', error);
}

/** Streams the rows of a Parquet file of any number of row groups. Integers beyond 2^53 are bigint, dates and blobs text. A row with more text than a line may have is a row with a reason. Throws FileError. */
export async function* readParquetRows(path: string, { wanted }: RowReading): AsyncGenerator<FileRow> {
  const engine = await openEngine({ temporaryRoot: tmpdir(), memoryMb });
  const bindings = fileBindings('files', [path]);
  try {
    const { sql, textBytes } = await guardedSelect(engine, path);
    let line = 0;
    for await (const { [textBytes]: text, ...value } of streamRows(engine, sql, bindings, translate)) {
      line += 1;
      const bytes = Number(text);
      if (bytes > maxLineBytes) yield { line, bytes: 0, reason: 'line_too_long', detail: `row ${String(line)} has more than ${String(maxLineBytes)} bytes of text` };
      else yield wanted() ? { line, bytes, value } : { line, bytes: 0, unread: true };
    }
  } finally {
    await engine.close();
  }
}

/**
 * A text that stands once in the file may be that of every row: so small files hold rows beyond any memory. The query itself measures each row
 * and leaves the values of one that is too long behind. `textBytes`: the column with the measure.
 */
async function guardedSelect(engine: Engine, path: string): Promise<{ readonly sql: string; readonly textBytes: string }> {
  const { values, types } = fileBindings('files', [path]);
  const connection = await engine.connect();
  try {
    const shape = await connection.runAndReadAll(`SELECT * FROM ${readParquet('files')} LIMIT 0`, values, types);
    const names = shape.columnNames();
    let textBytes = 'text_bytes';
    while (names.includes(textBytes)) textBytes += '_';
    const measures = shape.columnTypes().flatMap((type, at) => measureOf(quoteName(names[at] ?? ''), type, 0) ?? []);
    const measure = measures.length === 0 ? '0' : measures.join(' + ');
    const columns = names.map(quoteName).map((name) => `CASE WHEN ${measure} > ${String(maxLineBytes)} THEN NULL ELSE ${name} END AS ${name}`);
    return { sql: `SELECT ${[...columns, `${measure} AS ${quoteName(textBytes)}`].join(', ')} FROM ${readParquet('files')}`, textBytes };
  } catch (error) {
    throw translate(error);
  } finally {
    connection.closeSync();
  }
}

/** SQL for the bytes of all texts in a value; null for types without any. */
function measureOf(value: string, type: DuckDBType, depth: number): string | null {
  if (type instanceof DuckDBVarCharType) return `coalesce(strlen(${value}), 0)`;
  if (type instanceof DuckDBStructType) {
    const parts = type.entryNames.flatMap((name, at) => measureOf(`struct_extract(${value}, ${quoteText(name)})`, type.entryTypes[at] ?? type, depth) ?? []);
    return parts.length === 0 ? null : `(${parts.join(' + ')})`;
  }
  if (type instanceof DuckDBListType) {
    const item = `item${String(depth)}`;
    const inner = measureOf(item, type.valueType, depth + 1);
    return inner === null ? null : `coalesce(list_sum(list_transform(${value}, lambda ${item}: ${inner})), 0)`;
  }
  return null;
}
