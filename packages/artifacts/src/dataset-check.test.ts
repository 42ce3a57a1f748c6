import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdSet, promptId, type DatasetSource, type RowSpace } from '@sgpo/core';
import { checkDataset, describeSource } from './dataset-check.ts';
import { startHub } from './testing/hub-server.ts';
import { accessTo, sourceOf, testSet } from './testing/sources.ts';
import { errorOf, temporaryFolder } from './testing/temporary-folder.ts';

const row = (n: number, changes: object = {}) => ({ prompt: `question ${String(n)}`, response: `answer ${String(n)}`, ...changes });
const lines = (rows: readonly unknown[]): string => rows.map((one) => `${JSON.stringify(one)}\n`).join('');

async function check(content: string, { space = 'policy', ...changes }: Partial<DatasetSource> & { readonly space?: RowSpace } = {}) {
  const { path, root } = await testSet(content);
  return checkDataset({ source: sourceOf({ path, ...changes }), space, scores: 'check' }, accessTo(root));
}

describe('checkDataset', () => {
  it('tells what a set holds, with a few examples of each reason', async () => {
    const result = await check(`${lines([row(1), row(2, { extra: [1] }), ...Array.from({ length: 5 }, () => row(1)), row(3, { response: '', extra: { a: 1 } }), row(4, { response: 'a\u200bb c' })])}{"cut`);
    expect(result).toMatchObject({
      format: 'prompt-response', container: 'jsonl', commit: null, rows: 10, kept: 3, dropped: { duplicate_prompt: 5, empty_response: 1, malformed_line: 1 }, flagged: { zero_width: 1 }, formats: { 'prompt-response': 3 }, overlaps: 0,
      schema: [{ name: 'prompt', type: 'text' }, { name: 'response', type: 'text' }, { name: 'extra', type: 'mixed' }], files: [{ name: 'rows.jsonl' }],
      sample: [{ pos: 0, prompt: [{ role: 'user', content: 'question 1' }], response: 'answer 1' }, { pos: 1 }, { pos: 2 }],
      warnings: ['7 of 10 rows are dropped, most of them (5) as duplicate_prompt', 'Kept rows flagged zero_width: 1'],
    });
    expect(result.examples.map(({ row: line, reason }) => [line, reason])).toEqual([[3, 'duplicate_prompt'], [4, 'duplicate_prompt'], [5, 'duplicate_prompt'], [8, 'empty_response'], [10, 'malformed_line']]);
  });
  it('reads the columns that a map names, and tells those that are not there', async () => {
    const content = lines([{ question: 'q', answer: 'a b' }]);
    expect(await check(content, { columns: { prompt: 'question', response: 'answer' } })).toMatchObject({ kept: 1, format: 'prompt-response' });
    const cases = [
      [{}, 'its columns make no known format (its columns: question, answer)'], [{ columns: { prompt: 'query' } }, 'columns takes "prompt" from "query", which it does not have'],
      [{ format: 'instruction' }, 'rows of format instruction need instruction, output'], [{ space: 'preferences', columns: { prompt: 'question', response: 'answer' } }, 'have one answer; preferences need two'],
    ] as const;
    for (const [changes, message] of cases) expect(await errorOf(check(content, changes))).toMatchObject({ code: 'DATASET.WRONG_COLUMNS', message: expect.stringContaining(message) as string });
  });
  it('holds a set to the bytes it was registered with', async () => {
    const content = lines([row(1)]);
    const { sha256 } = await check(content);
    expect(await check(content, { sha256 })).toMatchObject({ kept: 1 });
    expect(await errorOf(check(lines([row(2)]), { sha256 }))).toMatchObject({ code: 'DATASET.CHANGED', problems: [{ field: 'data.improver.path' }] });
  });
  it('finds prompts of other sets', async () => {
    const ids = createIdSet();
    ids.add(promptId([{ role: 'user', content: 'question 1' }]));
    const { path, root } = await testSet(lines([row(1), row(2)]));
    const found = async (heldOutOverlap: 'drop' | 'keep') => checkDataset({ source: sourceOf({ path }), space: 'policy', scores: 'check', against: { heldOut: ids }, heldOutOverlap }, accessTo(root));
    expect(await found('drop')).toMatchObject({ kept: 1, dropped: { evaluation_prompt: 1 } });
    expect(await found('keep')).toMatchObject({ kept: 2, overlaps: 1, warnings: ['Kept rows with a prompt of the held-out set: 1'] });
  });
  it('counts what lies beyond the limit without reading it', async () => {
    expect(await check(`${lines([row(1), row(2), row(3)])}{"no": JSON\n`, { limit: 1 })).toMatchObject({ rows: 4, kept: 1, dropped: { over_limit: 3 } });
  });
  it('names the file of a row where there are several', async () => {
    const root = temporaryFolder();
    for (const name of ['a', 'b']) await writeFile(join(root, `${name}.jsonl`), lines([row(1)]));
    expect((await checkDataset({ source: sourceOf({ path: root }), space: 'policy', scores: 'check' }, accessTo(root))).examples).toEqual([{ row: 1, file: 'b.jsonl', reason: 'duplicate_prompt', detail: expect.any(String) as string }]);
  });
  it('keeps or drops every row there is', async () => {
    const line = fc.oneof(fc.jsonValue().map((value) => JSON.stringify(value)), fc.string().map((text) => text.replaceAll('\n', ' ')), fc.constantFrom(JSON.stringify(row(1)), '{"prompt":"q","response":NaN}', '{"prompt":"q"'));
    await fc.assert(fc.asyncProperty(fc.array(line), async (rest) => {
      const { rows, kept, dropped } = await check([JSON.stringify(row(0)), ...rest].join('\n'));
      expect(rows).toBe(1 + rest.filter((text) => /\S/.test(text)).length);
      expect(rows).toBe(kept + Object.values(dropped).reduce((sum, n) => sum + n, 0));
    }), { numRuns: 60 });
  });
});

describe('describeSource', () => {
  it('looks at the head of a file', async () => {
    const { path, root } = await testSet(lines([row(1)]));
    expect(await describeSource(sourceOf({ path }), accessTo(root))).toEqual({ format: 'prompt-response', columns: ['prompt', 'response'], files: [{ name: 'rows.jsonl', bytes: 46 }], commit: null });
    expect(await errorOf(describeSource(sourceOf({ path }), { ...accessTo(root), space: 'preferences' }))).toMatchObject({ code: 'DATASET.WRONG_COLUMNS' });
  });
  it('lists the files of a remote set, and downloads none', async () => {
    const commit = 'c'.repeat(40);
    const hub = await startHub({ repositories: { 'team/set': { revisions: { main: commit }, files: { [commit]: { 'train.jsonl': lines([row(1)]) } } } } });
    const source = sourceOf({ hub: { repo: 'team/set', revision: 'main', config: null, split: 'train', token: null } });
    expect(await describeSource(source, accessTo('/none', { environment: { HF_ENDPOINT: hub.url } }))).toEqual({ format: null, columns: null, files: [{ name: 'train.jsonl', bytes: 46 }], commit });
    expect(hub.requests.some(({ path }) => path.includes('resolve'))).toBe(false);
  });
});
