import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../cli-error.ts';

const maxBytes = 5 * 1024 * 1024;
const pollMs = 50;

/** Bytes of the file; 0 when there is none. */
export function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** Makes the folder, and moves a log of more than 5 MiB to `<file>.1`, over the one before: two files a process at most. */
export function rotate(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  if (sizeOf(file) > maxBytes) renameSync(file, `${file}.1`);
}

/** The last lines of a log, indented for a message. */
export function lastLines(file: string, count: number): string {
  if (sizeOf(file) === 0) return '    (empty)';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).map((line) => `    ${line.slice(0, 400)}`).join('\n');
}

function readFrom(file: string, offset: number): Buffer {
  const fd = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(fd).size - offset));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset));
  } finally {
    closeSync(fd);
  }
}

/** The first whole line from byte `offset` on that `match` accepts. Waits for it until `signal` aborts. */
export async function waitForLine(file: string, offset: number, match: (line: string) => boolean, signal: AbortSignal): Promise<string> {
  for (let from = offset; ;) {
    const text = readFrom(file, from);
    const end = text.lastIndexOf('\n') + 1;
    const line = text.subarray(0, end).toString('utf8').split('\n').find(match);
    if (line !== undefined) return line;
    from += end;
    await sleep(pollMs, undefined, { signal });
  }
}

/** True for a JSON line with this `event`. */
export function isEvent(line: string, event: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'event' in value && value.event === event;
  } catch {
    return false; // other programs write plain text into the same log
  }
}
