/** A stamp says from which inputs something was made. It is written last, so that what was interrupted is made again. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * sha256 over files (by content) and plain values, in order.
 * @param {{files?: readonly string[], values?: readonly string[]}} inputs
 */
export function fingerprint({ files = [], values = [] }) {
  const hash = createHash('sha256');
  for (const part of [...files.map((file) => readFileSync(file)), ...values]) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex');
}

/**
 * The stamp's text, or null when there is none.
 * @param {string} file
 */
export function readStamp(file) {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * @param {string} file
 * @param {string} text
 */
export function writeStamp(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${text}\n`);
  renameSync(fresh, file);
}
