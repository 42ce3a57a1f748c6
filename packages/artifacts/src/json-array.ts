import { FileError } from './file-error.ts';
import { maxLineBytes, readPiece, type FileRow, type Piece, type RowReading } from './json-lines.ts';

/**
 * Parses the elements of one JSON array from a byte stream, holding one element at a time. An element that is not JSON is a row with a reason as
 * long as its brackets and quotes add up. Throws FileError when the array does not end, or something follows it.
 */
export async function* parseJsonArray(chunks: AsyncIterable<Buffer>, { wanted }: RowReading): AsyncGenerator<FileRow> {
  for await (const piece of splitElements(chunks)) {
    const row = readPiece('row', piece, wanted);
    yield row ?? { line: piece.line, bytes: 0, reason: 'malformed_line', detail: `row ${String(piece.line)} is missing between its commas` };
  }
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const isOpening = (byte: number): boolean => byte === 0x7b || byte === 0x5b;
const isClosing = (byte: number): boolean => byte === 0x7d || byte === 0x5d;
const isWhite = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** Cuts at the commas between the elements. A byte order mark before the array is passed over. */
async function* splitElements(chunks: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let line = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;
  let ended = false;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let blank = true;
  const hold = (piece: Buffer): void => {
    heldBytes += piece.length;
    if (heldBytes > maxLineBytes) held = [];
    else held.push(piece);
  };
  const take = (): Piece => {
    const piece = { line: line += 1, bytes: heldBytes > maxLineBytes ? null : Buffer.concat(held) };
    held = [];
    heldBytes = 0;
    blank = true;
    return piece;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
        continue;
      }
      if (ended) {
        if (!isWhite(byte)) throw new FileError('something follows its JSON array', 'Write one array, or JSON lines: an object a line');
        continue;
      }
      if (depth > 0 && !isWhite(byte) && !(depth === 1 && (byte === comma || isClosing(byte)))) blank = false;
      if (byte === quote) inString = true;
      else if (isOpening(byte)) {
        depth += 1;
        if (depth === 1) start = at + 1;
      } else if (isClosing(byte)) {
        depth -= 1;
        if (depth > 0) continue;
        hold(chunk.subarray(start, at));
        ended = true;
        if (!blank || line > 0) yield take();
      } else if (byte === comma && depth === 1) {
        hold(chunk.subarray(start, at));
        yield take();
        start = at + 1;
      }
    }
    if (depth > 0) hold(chunk.subarray(start));
  }
  if (!ended) throw new FileError(`its JSON array does not end: the file is cut off in or after row ${String(line + 1)}`, 'Download or write it again');
}
