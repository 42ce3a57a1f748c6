import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { unpack, type Packing } from './unpack.ts';
import { FileError } from './file-error.ts';
import { parseJsonArray } from './json-array.ts';
import { parseJsonLines, type FileRow, type RowReading } from './json-lines.ts';
import { readParquetRows } from './parquet-rows.ts';

/** How a file holds its rows: a JSON value a line, one JSON array, or Parquet. Told by content, not by name. */
export type FileFormat = 'jsonl' | 'json' | 'parquet';

/** What the first bytes of a file tell. */
export interface FileKind { readonly format: FileFormat; readonly packing: Packing }

const headBytes = 4096;

/** Looks at the first bytes, unpacked where they are packed. Throws FileError for what is no data set, and file system errors. */
export async function kindOfFile(path: string): Promise<FileKind> {
  const head = await readHead(path);
  const packing = packingOf(head);
  const format = formatOf(packing === 'none' ? head : await unpackedHead(path, packing));
  if (format === 'parquet' && packing !== 'none') throw new FileError(`it is a Parquet file inside ${packing}`, 'Unpack it: Parquet is compressed inside');
  return { format, packing };
}

/** Streams the rows of a file in constant memory. Throws FileError, and file system errors. */
export async function* readFileRows(path: string, { format, packing }: FileKind, reading: RowReading): AsyncGenerator<FileRow> {
  if (format === 'parquet') yield* readParquetRows(path, reading);
  else yield* (format === 'json' ? parseJsonArray : parseJsonLines)(unpack(path, packing), reading);
}

/** sha256 (hex) of a file's bytes. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

async function readHead(path: string): Promise<Buffer> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function unpackedHead(path: string, packing: Packing): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of unpack(path, packing)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= headBytes) break;
  }
  return Buffer.concat(chunks);
}

const startsWith = (head: Buffer, bytes: readonly number[]): boolean => bytes.every((byte, at) => head[at] === byte);

function packingOf(head: Buffer): Packing {
  if (startsWith(head, [0x1f, 0x8b])) return 'gzip';
  // A frame, or one that is to be skipped before it.
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd]) || (((head[0] ?? 0) & 0xf0) === 0x50 && startsWith(head.subarray(1), [0x2a, 0x4d, 0x18]))) return 'zstd';
  return 'none';
}

/** Beginnings of files that are no rows, and what to do about them. */
const refused: readonly (readonly [readonly number[], string, string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'it is a zip archive', 'Unpack it, or pack it with gzip or zstd'],
  [[0x42, 0x5a, 0x68], 'it is compressed with bzip2', 'Unpack it, or pack it with gzip or zstd'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], 'it is compressed with xz', 'Unpack it, or pack it with gzip or zstd'],
  [[0x1f, 0x8b], 'it is packed twice', 'Unpack it once'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'it is packed twice', 'Unpack it once'],
  [[0x50, 0x41, 0x52, 0x45], 'it is an encrypted Parquet file', 'Write it without encryption'],
  [[0xff, 0xfe], 'its text is UTF-16 or UTF-32', 'Save it as UTF-8'],
  [[0xfe, 0xff], 'its text is UTF-16 or UTF-32', 'Save it as UTF-8'],
  [[0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], 'it is an Arrow file', 'Write it as Parquet'],
  [[0x25, 0x50, 0x44, 0x46], 'it is a PDF, no data', 'Name a file: JSON lines, a JSON array or Parquet'],
  [[0x89, 0x50, 0x4e, 0x47], 'it is a picture, no data', 'Name a file: JSON lines, a JSON array or Parquet'],
  [[0xff, 0xd8, 0xff], 'it is a picture, no data', 'Name a file: JSON lines, a JSON array or Parquet'],
];
const tarMark = { at: 257, text: 'ustar' } as const;

function formatOf(head: Buffer): FileFormat {
  if (startsWith(head, [0x50, 0x41, 0x52, 0x31])) return 'parquet';
  const match = refused.find(([bytes]) => startsWith(head, bytes));
  if (match !== undefined) throw new FileError(match[1], match[2]);
  if (head.toString('latin1', tarMark.at, tarMark.at + tarMark.text.length) === tarMark.text) throw new FileError('it is a tar archive', 'Unpack it: name the files in it, or their folder');
  // JSON begins with one or two characters of ASCII: with bytes of 0 between them it is UTF-16 or UTF-32 without a mark, else no text at all.
  if (head.subarray(0, 4).includes(0)) {
    const begins = /^\0*[[{"\s]/.test(head.toString('latin1', 0, 4));
    throw begins ? new FileError('its text is UTF-16 or UTF-32', 'Save it as UTF-8') : new FileError('it is binary, no text', 'Name a file: JSON lines, a JSON array or Parquet');
  }
  const text = head.toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '').trimStart();
  if (text.startsWith('<')) throw new FileError('it is a web page or XML, no data', 'Download the file itself: of a page that shows it, the raw link');
  if (text.startsWith('version https://git-lfs.github.com')) throw new FileError('it is the pointer that Git LFS leaves in place of a file', 'Run git lfs pull, or download the file itself');
  return text.startsWith('[') ? 'json' : 'jsonl';
}
