import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkDataset, type PlacedDrop } from '@sgpo/artifacts';
import { SgpoError, type DatasetSource } from '@sgpo/core';
import { afterAll, describe, expect, it } from 'vitest';
import { hostileFiles, writeHostileFiles } from './hostile-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'sgpo-hostile-'));
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });
const files = writeHostileFiles(folder);

async function check(path: string, space: typeof files[number]['space'], changes: Partial<DatasetSource> = {}) {
  const drops: PlacedDrop[] = [];
  const source: DatasetSource = { path, hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null, ...changes };
  const result = await checkDataset({ source, space, scores: 'check' }, { roots: [folder], field: '', environment: {}, cacheFolder: null }, (drop) => drops.push(drop));
  return { ...result, drops };
}

describe('every hostile file', () => {
  it('has a name of its own', () => { expect(new Set(hostileFiles.map(({ name }) => name)).size).toBe(hostileFiles.length); });

  it.each(files.map((file) => [file.name, file] as const))('%s', async (_, { path, space, outcome }) => {
    if ('error' in outcome) {
      const error = await check(path, space).then(() => null, (thrown: unknown) => thrown);
      if (!(error instanceof SgpoError)) throw new Error('expected an SgpoError', { cause: error });
      expect(error.code).toBe(outcome.error);
      expect(error.problems).toEqual([{ field: 'path', value: path, message: expect.any(String) as string, fix: expect.any(String) as string }]);
      return;
    }
    const { rows, kept, dropped, flagged, drops, examples, sample } = await check(path, space);
    const expected = 'dropped' in outcome ? { [outcome.dropped]: outcome.rows ?? 1 } : {};
    expect(dropped).toEqual(expected);
    expect(rows).toBe(kept + drops.length);
    expect(drops.map(({ reason }) => reason)).toEqual(Object.entries(expected).flatMap(([reason, times]) => Array.from({ length: times }, () => reason)));
    expect(examples).toEqual(drops);
    expect(examples.every(({ row, detail }) => row > 0 && detail.length > 0)).toBe(true);
    expect(kept).toBeGreaterThan(0);
    expect(sample.length).toBeGreaterThan(0);
    expect(flagged).toEqual('flagged' in outcome ? { [outcome.flagged]: 1 } : {});
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it.each(files.flatMap((file) => ('flagged' in file.outcome ? [[file.outcome.flagged, file] as const] : [])))('is dropped as %s when told to', async (flag, { path, space }) => {
    expect(await check(path, space, { dropFlagged: [flag] })).toMatchObject({ dropped: { [flag]: 1 }, flagged: {} });
  });
});
