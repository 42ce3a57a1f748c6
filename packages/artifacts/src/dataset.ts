import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isRecord, type DatasetSource, type RawRow } from '@sgpo/core';
import { hashFile, kindOfFile, readFileRows, type FileFormat } from './data-file.ts';
import { fileProblem, problem, type About } from './dataset-errors.ts';
import { createDownloadCache } from './download-cache.ts';
import type { FileRow, RowReading } from './json-lines.ts';
import type { SourceFiles } from './source-files.ts';
import { hubFiles, type RemoteAccess } from './source-hub.ts';
import { localFiles } from './source-local.ts';
import { s3Files } from './source-s3.ts';

/** What reading a data set needs beside its source. */
export interface DatasetAccess {
  /** Folders that paths may lie in. */
  readonly roots: readonly string[];
  /** Field of the request that holds the source, such as `data.improver`; empty for a path by itself. It names the source in errors. */
  readonly field: string;
  /** HF_ENDPOINT, the variable a token names, and AWS_*. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Keeps what is downloaded; null where nothing remote is read, only looked for. */
  readonly cacheFolder: string | null;
  readonly signal?: AbortSignal;
}

/** The files a source names, found but not read yet. */
export interface FoundDataset extends SourceFiles { readonly about: About }

/** A row of a set. `file`: its file's name when the set has several. `line` counts in its file. */
export type SetRow = FileRow & { readonly file: string | null };

/** What the first rows tell. `columns` in order of appearance; `rows`: those of the first rows that are objects. */
export interface DatasetHead { readonly container: FileFormat; readonly columns: readonly string[]; readonly rows: readonly RawRow[] }

/** What was read. `sha256`: of one file its bytes; of several their sha256 (hex), a line each, in order. */
export interface DatasetBytes { readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[]; readonly sha256: string }

export interface DatasetReading {
  readonly head: DatasetHead;
  /** Every row once, in order. Throws DATASET.UNREADABLE when a file breaks off, MALFORMED_LINE for a bad line where lines must be good. */
  rows(): AsyncGenerator<SetRow>;
  /** Known when `rows` has ended; TypeError before. */
  bytes(): DatasetBytes;
  /** Closes what is open: for who does not read to the end. */
  close(): Promise<void>;
}

/** The source as errors name it. TypeError for a registered set: whoever knows the registry gives its own source. */
function aboutSource({ path, hub }: DatasetSource, field: string): About {
  const under = (name: string): string => (field === '' ? name : `${field}.${name}`);
  if (path !== null) return { field: under('path'), value: path };
  if (hub !== null) return { field: under('hub'), value: hub.repo };
  throw new TypeError('a registered data set is read from the source it was registered with');
}

/**
 * Finds the files of a source: a path, `s3://…` or a split on the hub. Nothing is downloaded.
 * Throws DATASET.NOT_FOUND, NOT_ALLOWED, EMPTY, UNREADABLE, REMOTE_REFUSED or REMOTE_UNREACHABLE, each with a problem that names field, value and fix.
 */
export async function findDataset(source: DatasetSource, { roots, field, environment, cacheFolder, signal }: DatasetAccess): Promise<FoundDataset> {
  const about = aboutSource(source, field);
  const remote: RemoteAccess = { environment, cache: cacheFolder === null ? null : createDownloadCache(join(cacheFolder, 'datasets')), ...signal === undefined ? {} : { signal } };
  if (source.hub !== null) return { about, ...await hubFiles(source.hub, about, remote) };
  return { about, ...await (about.value.startsWith('s3://') ? s3Files(about.value, about, remote) : localFiles(about.value, about, roots)) };
}

const headRows = 64;
const headBytes = 16 * 1024 * 1024;
/** Reasons of lines that are no JSON at all: where lines must be good, and when all of the first are bad, they end the reading. */
const malformedReasons: readonly string[] = ['malformed_line', 'not_utf8', 'line_too_long'];

/**
 * Begins to read a set: looks at its first 64 rows (fewer where they are large), and hands them out again with all others.
 * Throws what `findDataset` throws, and DATASET.MALFORMED_LINE when the first rows are no JSON.
 */
export async function readDataset(found: FoundDataset, malformed: DatasetSource['malformed'], reading: RowReading): Promise<DatasetReading> {
  const { about } = found;
  const read: { readonly name: string; readonly bytes: number; readonly sha256: string }[] = [];
  const containers: FileFormat[] = [];
  let ended = false;
  const stream = readFiles();

  async function* readFiles(): AsyncGenerator<SetRow> {
    for (const file of found.files) {
      const name = found.files.length > 1 ? file.name : null;
      const path = await file.locate();
      try {
        const kind = await kindOfFile(path);
        containers.push(kind.format);
        for await (const row of readFileRows(path, kind, reading)) {
          if (malformed === 'fail' && 'reason' in row && malformedReasons.includes(row.reason)) throw malformedLine(about, row.detail, name);
          yield { ...row, file: name };
        }
        read.push({ name: file.name, bytes: file.bytes, sha256: await hashFile(path) });
      } catch (error) {
        throw fileProblem(error, about, name);
      }
    }
    ended = true;
  }

  const first: SetRow[] = [];
  let size = 0;
  while (first.length < headRows && size < headBytes) {
    const next = await stream.next();
    if (next.done === true) break;
    first.push(next.value);
    size += next.value.bytes;
  }
  const head = headOf(first, containers[0] ?? 'jsonl', about);
  return {
    head,
    async* rows() {
      for (const row of first.splice(0)) yield row;
      yield* stream;
    },
    bytes() {
      if (!ended) throw new TypeError('the bytes of a data set are known when its last row was read');
      const [only] = read;
      return { files: read, sha256: read.length === 1 && only !== undefined ? only.sha256 : createHash('sha256').update(read.map(({ sha256 }) => `${sha256}\n`).join('')).digest('hex') };
    },
    async close() { await stream.return(undefined); },
  };
}

function headOf(first: readonly SetRow[], container: FileFormat, about: About): DatasetHead {
  const [row] = first;
  if (row === undefined) throw problem(about, 'DATASET.EMPTY', 'it has no rows', 'Name a file with at least one row');
  const refused = first.find((candidate) => 'reason' in candidate);
  if (refused !== undefined && 'reason' in refused && first.every((candidate) => 'reason' in candidate && malformedReasons.includes(candidate.reason))) {
    throw problem(about, 'DATASET.MALFORMED_LINE', `none of its first lines is a row: ${placed(refused.detail, refused.file)}`, 'Give JSON lines (one object a line), one JSON array, or Parquet; a table in CSV, or an object over several lines, has to be converted');
  }
  const rows = first.flatMap((candidate) => ('value' in candidate && isRecord(candidate.value) ? [candidate.value] : []));
  const columns = [...new Set(rows.flatMap((candidate) => Object.keys(candidate)))];
  if (columns.length === 0) {
    const why = refused !== undefined && 'reason' in refused ? `: ${refused.detail}` : '';
    throw problem(about, 'DATASET.UNREADABLE', `none of its first rows is a JSON object with keys that can be read${why}`, 'Write a JSON object a row, e.g. {"prompt": "…", "response": "…"}');
  }
  return { container, columns, rows };
}

const placed = (detail: string, file: string | null): string => (file === null ? detail : `${file}: ${detail}`);
const malformedLine = (about: About, detail: string, file: string | null): Error =>
  problem(about, 'DATASET.MALFORMED_LINE', placed(detail, file), 'Correct or remove that line; each line holds one JSON object, in UTF-8');
