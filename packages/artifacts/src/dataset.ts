import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { SgpoError } from '@sgpo/core';
import { asUnreadable, fieldError, resolveAllowed, type AllowedPlace, type PathErrors } from './allowed-path.ts';
import { errnoOf } from './disk-errors.ts';
import { fileBindings, openEngine, readParquet, streamRows, type Engine } from './duckdb.ts';
import { LineError, jsonReason, parseJsonLines, type NumberedValue } from './json-lines.ts';
import { columnsOf } from './pos-order.ts';

/** How a user's file holds its rows: a JSON value a line, one JSON array, or Parquet. Told by content, not by name. */
export type DatasetFormat = 'jsonl' | 'json' | 'parquet';

/** What the head of a data set tells. `columns` in order of appearance, `path` with links followed. */
export interface DatasetDescription { readonly format: DatasetFormat; readonly columns: readonly string[]; readonly path: string }

/** Folders a data set may lie in; `field` names the path in errors (default `path`). */
export interface DatasetOptions { readonly roots: readonly string[]; readonly field?: string }

const headLines = 64;
const maxArrayBytes = 64 * 1024 * 1024;
const datasetErrors: PathErrors = { noun: 'data set', notFound: 'DATASET.NOT_FOUND', notAllowed: 'DATASET.NOT_ALLOWED', unreadable: 'DATASET.UNREADABLE' };

interface Opened { readonly path: string; readonly format: DatasetFormat; readonly bytes: number; readonly given: string; readonly field: string }
type About = Pick<Opened, 'given' | 'field'>;

/**
 * Looks at the head of a data set: format and columns (of the first 64 rows, or of the Parquet schema).
 * Throws DATASET.NOT_FOUND, NOT_ALLOWED, EMPTY, UNREADABLE or MALFORMED_LINE, each with a problem that names field, value and fix.
 */
export async function describeDataset(path: string, options: DatasetOptions): Promise<DatasetDescription> {
  const opened = await openDataset(path, options);
  const { format, path: real } = opened;
  if (format === 'parquet') {
    return withParquet(opened, async (engine, translate) => {
      const columns = await columnsOf(engine, [real], translate);
      for await (const row of streamRows(engine, `SELECT count(*) AS n FROM ${readParquet('files')}`, fileBindings('files', [real]), translate)) {
        if (row['n'] === 0) throw empty(opened);
      }
      return { format, columns, path: real };
    });
  }
  const columns = new Set<string>();
  let seen = 0;
  for await (const { value } of readValues(opened)) {
    if (isRecord(value)) for (const key of Object.keys(value)) columns.add(key);
    seen += 1;
    if (seen === headLines) break;
  }
  if (seen === 0) throw empty(opened);
  if (columns.size === 0) throw problem(opened, 'DATASET.UNREADABLE', 'none of its first rows is a JSON object with keys', 'Write a JSON object a row, e.g. {"prompt": "…", "response": "…"}');
  return { format, columns: [...columns], path: real };
}

/**
 * Streams every row of a data set with its number: the line in JSON lines, else the row's place, from 1. Values are as they stand in the file;
 * integers beyond 2^53 in Parquet are bigint, dates and blobs text. Throws what `describeDataset` throws; an empty file gives no row.
 */
export async function* readDataset(path: string, options: DatasetOptions): AsyncGenerator<NumberedValue> {
  yield* readValues(await openDataset(path, options));
}

async function openDataset(given: string, { roots, field = 'path' }: DatasetOptions): Promise<Opened> {
  const place: AllowedPlace = { roots, field };
  const { real, stats } = await resolveAllowed(given, place, datasetErrors);
  const about = { path: real, bytes: stats.size, given, field };
  if (!stats.isFile()) throw problem(about, 'DATASET.UNREADABLE', 'it is not a regular file', 'Name one file: JSON lines, a JSON array or Parquet');
  try {
    return { ...about, format: formatOf(await readHead(real), about) };
  } catch (error) {
    throw asUnreadable(error, given, field, datasetErrors);
  }
}

async function readHead(path: string): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function formatOf(head: Buffer, about: About): DatasetFormat {
  const starts = (...bytes: number[]): boolean => bytes.every((byte, at) => head[at] === byte);
  if (starts(0x50, 0x41, 0x52, 0x31)) return 'parquet';
  const packed = starts(0x1f, 0x8b) || starts(0x28, 0xb5, 0x2f, 0xfd) || starts(0x50, 0x4b, 0x03, 0x04) || starts(0x42, 0x5a, 0x68);
  if (packed) throw problem(about, 'DATASET.UNREADABLE', 'it is compressed', 'Unpack it first');
  if (starts(0xff, 0xfe) || starts(0xfe, 0xff)) throw problem(about, 'DATASET.UNREADABLE', 'its text is UTF-16', 'Save it as UTF-8');
  return head.toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '').trimStart().startsWith('[') ? 'json' : 'jsonl';
}

async function* readValues(opened: Opened): AsyncGenerator<NumberedValue> {
  if (opened.format === 'parquet') yield* readParquetRows(opened);
  else if (opened.format === 'json') yield* await readArray(opened);
  else yield* readLines(opened);
}

async function* readLines(opened: Opened): AsyncGenerator<NumberedValue> {
  const chunks: AsyncIterable<Buffer> = createReadStream(opened.path, { highWaterMark: 1 << 18 });
  try {
    yield* parseJsonLines(chunks);
  } catch (error) {
    if (error instanceof LineError) throw problem(opened, 'DATASET.MALFORMED_LINE', error.message, 'Correct or remove that line; each line holds one JSON object, in UTF-8', error);
    throw asUnreadable(error, opened.given, opened.field, datasetErrors);
  }
}

async function readArray(opened: Opened): Promise<NumberedValue[]> {
  if (opened.bytes > maxArrayBytes) {
    throw problem(opened, 'DATASET.UNREADABLE', `it is a JSON array of ${String(opened.bytes)} bytes, over ${String(maxArrayBytes)}`, 'Write it as JSON lines, an object a line: that is read at any size');
  }
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(opened.path)));
    if (!Array.isArray(value)) throw new SyntaxError('no array');
    return value.map((row: unknown, at) => ({ line: at + 1, value: row }));
  } catch (error) {
    if (error instanceof SyntaxError) throw problem(opened, 'DATASET.UNREADABLE', `it begins like a JSON array, but ${jsonReason(error)}`, 'Correct the file, or write JSON lines: an object a line', error);
    if (error instanceof TypeError && errnoOf(error) === null) throw problem(opened, 'DATASET.UNREADABLE', 'it is not UTF-8', 'Save it as UTF-8', error);
    throw asUnreadable(error, opened.given, opened.field, datasetErrors);
  }
}

async function* readParquetRows(opened: Opened): AsyncGenerator<NumberedValue> {
  const engine = await openEngine({ temporaryRoot: tmpdir(), memoryMb: 512 });
  try {
    let line = 0;
    const sql = `SELECT * FROM ${readParquet('files')}`;
    for await (const value of streamRows(engine, sql, fileBindings('files', [opened.path]), (error) => parquetError(opened, error))) yield { line: line += 1, value };
  } finally {
    await engine.close();
  }
}

async function withParquet<T>(opened: Opened, action: (engine: Engine, translate: (error: unknown) => unknown) => Promise<T>): Promise<T> {
  const engine = await openEngine({ temporaryRoot: tmpdir(), memoryMb: 512 });
  try {
    return await action(engine, (error) => parquetError(opened, error));
  } finally {
    await engine.close();
  }
}

const parquetError = (about: About, error: unknown): unknown =>
  error instanceof SgpoError ? error : problem(about, 'DATASET.UNREADABLE', 'it is not a whole, readable Parquet file', 'Write or download it again; encrypted files cannot be read', error);

const empty = (opened: Opened): SgpoError => problem(opened, 'DATASET.EMPTY', 'it has no rows', 'Name a file with at least one row');

const problem = (about: About, code: SgpoError['code'], message: string, fix: string, cause?: unknown): SgpoError =>
  fieldError(code, about.field, about.given, message, fix, cause);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
