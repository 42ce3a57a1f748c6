import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError, hasCode } from '../cli-error.ts';
import { startTimeOf } from './process-identity.ts';

interface Holder { readonly pid: number; readonly startTime: string }

/** Who holds the lock of `home`, or null. A lock whose process is gone (also when its pid was given to another) counts as none. */
export function holderOf(home: string): Holder | null {
  const holder = read(join(home, 'stack.lock'));
  return holder !== null && startTimeOf(holder.pid) === holder.startTime ? holder : null;
}

/**
 * Takes the lock of `home` for this process: one stack a folder. Returns how to give it back.
 * Throws CliError when a living process holds it.
 */
export function takeLock(home: string): () => void {
  mkdirSync(home, { recursive: true });
  const file = join(home, 'stack.lock');
  const startTime = startTimeOf(process.pid);
  if (startTime === null) throw new Error('This process has no start time');
  const own = `${file}.${randomUUID()}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, startTime }));
  try {
    while (!link(own, file)) {
      const holder = holderOf(home);
      if (holder !== null) {
        throw new CliError(`A stack already runs in ${home} (pid ${String(holder.pid)})`, 'stop it (Ctrl-C where it runs), or set SGPO_HOME to another folder');
      }
      removeStale(file);
    }
  } finally {
    rmSync(own, { force: true });
  }
  return () => { if (read(file)?.pid === process.pid) rmSync(file, { force: true }); };
}

function read(file: string): Holder | null {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder>;
    return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : null;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** A link appears whole or not at all: nobody reads half a lock. */
function link(own: string, file: string): boolean {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Moves the lock aside and looks again: between reading and moving somebody else may have taken it, and then gets it back. */
function removeStale(file: string): void {
  const aside = `${file}.${randomUUID()}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  const moved = read(aside);
  if (moved !== null && startTimeOf(moved.pid) === moved.startTime) link(aside, file);
  rmSync(aside, { force: true });
}
