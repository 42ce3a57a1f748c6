import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkout } from './config.ts';
import { absolutePath, withAbsolutePaths } from './spec-file.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'sgpo-spec-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

test('paths start where the user stands; in the checkout when they are there and not here', () => {
  writeFileSync(join(folder, 'rows.jsonl'), '');
  mkdirSync(join(folder, 'shards'));
  expect(absolutePath('rows.jsonl', folder)).toBe(join(folder, 'rows.jsonl'));
  expect(absolutePath('examples/data/policy.jsonl', folder)).toBe(join(checkout, 'examples/data/policy.jsonl'));
  expect(absolutePath('nowhere.jsonl', folder)).toBe(join(folder, 'nowhere.jsonl'));
  expect(absolutePath('/a/b', folder)).toBe('/a/b');
  expect(absolutePath('s3://bucket/key', folder)).toBe('s3://bucket/key');
  // Of a pattern, its folder must be there.
  expect(absolutePath('shards/*.parquet', folder)).toBe(join(folder, 'shards/*.parquet'));
  expect(absolutePath('examples/data/*.jsonl', folder)).toBe(join(checkout, 'examples/data/*.jsonl'));
});

test('every place of a spec and of a study is made absolute, everything else stays', () => {
  const spec = { preset: 'sgpo', model: { path: 'm' }, teacher: { source: 'fleet', weights: { path: 't' } }, data: { policy: { path: 'p', limit: 3 }, sft: null, improver: { hub: { repo: 'a/b' } }, scores: 'ignore' } };
  const expected = {
    preset: 'sgpo', model: { path: join(folder, 'm') }, teacher: { source: 'fleet', weights: { path: join(folder, 't') } },
    data: { policy: { path: join(folder, 'p'), limit: 3 }, sft: null, improver: { hub: { repo: 'a/b' } }, scores: 'ignore' },
  };
  expect(withAbsolutePaths(spec, folder)).toEqual(expected);
  expect(withAbsolutePaths({ name: 's', base: spec, models: [{ path: 'm' }, { artifact: 'x' }], runs: [{ label: 'l', changes: { model: { path: 'n' } } }] }, folder)).toEqual({
    name: 's', base: expected, models: [{ path: join(folder, 'm') }, { artifact: 'x' }], runs: [{ label: 'l', changes: { model: { path: join(folder, 'n') } } }],
  });
  // What is no spec is left to whoever checks it.
  expect(withAbsolutePaths({ data: 'x', model: null, runs: [1] }, folder)).toEqual({ data: 'x', model: null, runs: [1] });
});
