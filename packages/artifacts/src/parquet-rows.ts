import { tmpdir } from 'node:os';
import { fileBindings, openEngine, readParquet, streamRows } from './duckdb.ts';
import { FileError } from './file-error.ts';
import type { FileRow, RowReading } from './json-lines.ts';

const memoryMb = 256;
const translate = (error: unknown): unknown => new FileError('it is not a whole, readable Parquet file', 'Write or download it again; encrypted files cannot be read', error);

/** Streams the rows of a Parquet file of any number of row groups. Integers beyond 2^53 are bigint, dates and blobs text. Throws FileError. */
export async function* readParquetRows(path: string, { wanted }: RowReading): AsyncGenerator<FileRow> {
  const engine = await openEngine({ temporaryRoot: tmpdir(), memoryMb });
  try {
    let line = 0;
    for await (const value of streamRows(engine, `SELECT * FROM ${readParquet('files')}`, fileBindings('files', [path]), translate)) {
      yield wanted() ? { line: line += 1, bytes: 0, value } : { line: line += 1, bytes: 0, unread: true };
    }
  } finally {
    await engine.close();
  }
}
