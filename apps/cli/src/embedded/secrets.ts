import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { hasCode } from '../cli-error.ts';

/** 192 random bits in hexadecimal digits, which need no escaping in URLs and configuration files. */
export const createPassword = (): string => randomBytes(24).toString('hex');

/** The password in `file`, or null when there is none. */
export function readPassword(file: string): string | null {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return text === '' ? null : text;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Keeps a password where only its owner can read it. */
export function writePassword(file: string, password: string): void {
  writeFileSync(file, `${password}\n`, { mode: 0o600 });
}
