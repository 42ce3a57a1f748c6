import { isUtf8 } from 'node:buffer';
import type { UnreadRowReason } from '@sgpo/core';
import { parseRowText } from './json-scan.ts';

/** Longest line, or element of an array, that is read, in bytes. */
export const maxLineBytes = 8 * 1024 * 1024;

/** A row of a file with its number: the line in JSON lines, else its place, from 1. `bytes`: what it takes to hold it, 0 where that is not known. */
export type FileRow = { readonly line: number; readonly bytes: number } & (
  | { readonly value: unknown }
  | { readonly reason: UnreadRowReason; readonly detail: string }
  /** A row that nobody wants to see any more, only counted. */
  | { readonly unread: true }
);

/** `wanted`: false from the moment when rows are only counted. */
export interface RowReading { readonly wanted: () => boolean }

/**
 * Parses JSON lines from a byte stream, holding one line at a time. A byte order mark, CRLF and blank lines are passed over; U+2028 and the like
 * end no line. A line that is not UTF-8, not JSON or over `maxLineBytes` is a row with a reason.
 */
export async function* parseJsonLines(chunks: AsyncIterable<Buffer>, { wanted }: RowReading): AsyncGenerator<FileRow> {
  for await (const piece of splitLines(chunks)) {
    const row = readPiece('line', piece, wanted);
    if (row !== null) yield row;
  }
}

/** The bytes of one row; null when they were too many to be held. */
export interface Piece { readonly line: number; readonly bytes: Buffer | null }

/** The row in a piece of a file, or null when it is blank. `noun` names the piece in details. */
export function readPiece(noun: 'line' | 'row', { line, bytes }: Piece, wanted: () => boolean): FileRow | null {
  const at = `${noun} ${String(line)}`;
  if (bytes === null) return { line, bytes: 0, reason: 'line_too_long', detail: `${at} is longer than ${String(maxLineBytes)} bytes` };
  if (!isUtf8(bytes)) return { line, bytes: bytes.length, reason: 'not_utf8', detail: `${at} is not UTF-8` };
  const text = bytes.toString('utf8');
  if (isWhite(text)) return null;
  if (!wanted()) return { line, bytes: bytes.length, unread: true };
  const parsed = parseRowText(text);
  return 'value' in parsed ? { line, bytes: bytes.length, value: parsed.value } : { line, bytes: bytes.length, reason: parsed.reason, detail: `${at} ${parsed.detail}` };
}

const isWhite = (text: string): boolean => !/\S/.test(text);

async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let line = 1;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const hold = (piece: Buffer): void => {
    heldBytes += piece.length;
    if (heldBytes > maxLineBytes) held = [];
    else held.push(piece);
  };
  const take = (): Piece => {
    const bytes = heldBytes > maxLineBytes ? null : Buffer.concat(held);
    const piece = { line, bytes: line === 1 && bytes !== null ? withoutMark(bytes) : bytes };
    held = [];
    heldBytes = 0;
    line += 1;
    return piece;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      hold(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < chunk.length) hold(chunk.subarray(start));
  }
  if (heldBytes > 0) yield take();
}

/** Only the first line may begin with a byte order mark; elsewhere it is a character like any other. */
const withoutMark = (bytes: Buffer): Buffer => (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes);
