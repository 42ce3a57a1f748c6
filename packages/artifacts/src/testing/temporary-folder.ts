import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { SgpoError } from '@sgpo/core';

/** A folder that is removed when the test that asks for it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sgpo-artifacts-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The SgpoError that `action` ends with; fails the test when it ends otherwise. */
export async function errorOf(action: Promise<unknown>): Promise<SgpoError> {
  const outcome = await action.then((value) => ({ value }), (error: unknown) => ({ error }));
  if ('error' in outcome && outcome.error instanceof SgpoError) return outcome.error;
  throw new Error('expected an SgpoError', { cause: 'error' in outcome ? outcome.error : outcome.value });
}

/** All of an async iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
