/** Longest line that is read, in bytes. */
export const maxLineBytes = 8 * 1024 * 1024;

/** What is wrong with a line (numbered from 1). It never holds the line's text. */
export class LineError extends Error {
  readonly line: number;
  constructor(line: number, reason: string, cause?: unknown) {
    super(`line ${String(line)} ${reason}`, { cause });
    this.name = 'LineError';
    this.line = line;
  }
}

/** A parsed line. */
export interface NumberedValue { readonly line: number; readonly value: unknown }

/**
 * Parses JSON lines from a byte stream, holding one line at a time. A byte order mark, CRLF and blank lines are passed over.
 * Throws LineError for text that is not UTF-8 or not JSON, and for lines over `maxLineBytes`.
 */
export async function* parseJsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<NumberedValue> {
  for await (const { line, bytes } of splitLines(chunks)) {
    const text = decode(line, bytes);
    if (text.trim() !== '') yield { line, value: parse(line, text) };
  }
}

/** Why `JSON.parse` refused a text, without the piece of the text that V8 puts into some of its messages. */
export function jsonReason(error: unknown): string {
  if (!(error instanceof SyntaxError)) return 'cannot be parsed';
  if (error.message.startsWith('Unexpected end')) return 'ends too early';
  if (error.message.startsWith('Unexpected token')) return 'has an unexpected character';
  const [, reason, position] = /^([^"]+) at position (\d+)/.exec(error.message) ?? [];
  return reason === undefined || position === undefined ? 'cannot be parsed' : `is broken at character ${String(Number(position) + 1)}: ${reason.replace(' in JSON', '')}`;
}

async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<{ line: number; bytes: Buffer }> {
  let line = 1;
  let held: Buffer[] = [];
  let heldBytes = 0;
  const hold = (piece: Buffer): void => {
    heldBytes += piece.length;
    if (heldBytes > maxLineBytes) throw new LineError(line, `is longer than ${String(maxLineBytes)} bytes`);
    held.push(piece);
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      hold(chunk.subarray(start, end));
      yield { line, bytes: Buffer.concat(held) };
      line += 1;
      held = [];
      heldBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) hold(chunk.subarray(start));
  }
  if (heldBytes > 0) yield { line, bytes: Buffer.concat(held) };
}

function decode(line: number, bytes: Buffer): string {
  try {
    // Only the first line may begin with a byte order mark; elsewhere it is a character like any other.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: line > 1 }).decode(bytes);
  } catch (cause) {
    throw new LineError(line, 'is not UTF-8', cause);
  }
}

function parse(line: number, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LineError(line, `is not JSON: it ${jsonReason(cause)}`, cause);
  }
}
