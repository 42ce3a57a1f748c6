import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatasetSource } from '@sgpo/core';
import { findDataset, readDataset, type DatasetAccess, type DatasetHead, type SetRow } from '../dataset.ts';
import { collect, temporaryFolder } from './temporary-folder.ts';

export const sourceOf = (changes: Partial<DatasetSource>): DatasetSource =>
  ({ path: null, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null, ...changes });

export const accessTo = (root: string, changes: Partial<DatasetAccess> = {}): DatasetAccess => ({ roots: [root], field: 'data.improver', environment: {}, cacheFolder: null, ...changes });

/** A file in a folder of its own, as a data set. */
export interface TestSet { readonly path: string; readonly root: string; head(): Promise<DatasetHead>; read(malformed?: 'drop' | 'fail'): Promise<SetRow[]> }

export async function testSet(content: string | Uint8Array, name = 'rows.jsonl'): Promise<TestSet> {
  const root = temporaryFolder();
  const path = join(root, name);
  await writeFile(path, content);
  return setAt(path, root);
}

export function setAt(path: string, root: string): TestSet {
  const open = async (malformed: 'drop' | 'fail' = 'drop') => readDataset(await findDataset(sourceOf({ path }), accessTo(root)), malformed, { wanted: () => true });
  return {
    path, root,
    async head() {
      const reading = await open();
      await reading.close();
      return reading.head;
    },
    read: async (malformed) => collect((await open(malformed)).rows()),
  };
}

/** Values alone, and the reasons of rows without one. */
export const valuesOf = (rows: readonly SetRow[]): unknown[] => rows.map((row) => ('value' in row ? row.value : 'reason' in row ? row.reason : 'unread'));
