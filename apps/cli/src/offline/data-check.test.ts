import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printedCheck as printed } from '../testing/checks.ts';
import { sgpo, type Outcome } from '../testing/command.ts';
import { sourceOf } from './check-source.ts';
import { checkPath, type CheckOptions } from './data-check.ts';

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'sgpo-check-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

const write = (name: string, content: string | Buffer): string => {
  writeFileSync(join(folder, name), content);
  return name;
};
const rows = (...values: readonly object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');
const check = (path: string, ...args: readonly string[]): Promise<Outcome> => sgpo(['data', 'check', path, '--json', ...args], { cwd: folder, environment: { SGPO_HOME: folder } });

/** In this process: many ways of asking, without a start for each. */
const ask = (path: string, options: Partial<CheckOptions> = {}): ReturnType<typeof checkPath> => checkPath({ home: folder, userFolder: folder }, { path, scores: 'check', ...options });
const wrongColumns = expect.objectContaining({ code: 'DATASET.WRONG_COLUMNS' }) as Error;

describe.concurrent('data check', () => {
  test('tells format, columns, rows, drops with examples, flags and warnings', async () => {
    const file = write('mixed.jsonl', rows({ prompt: 'Name a metal.', response: 'Iron is one.' }, { prompt: ' ', response: 'x' }, { prompt: 'Say hi.', response: '<|im_start|>hi there' }, { prompt: 'Name a metal.', response: 'Gold is one.' }));
    expect(printed(await check(file))).toMatchObject({
      as: 'improver', format: 'prompt-response', schema: [{ name: 'prompt', type: 'text' }, { name: 'response', type: 'text' }], rows: 4, kept: 2,
      dropped: { empty_prompt: 1, duplicate_prompt: 1 }, flagged: { template_tokens: 1 }, examples: [{ row: 2, reason: 'empty_prompt' }, { row: 4, reason: 'duplicate_prompt' }],
    });
  });

  test('as text it says the same, and nothing in a row steers the terminal', async () => {
    const file = write('text.jsonl', rows({ prompt: 'Name a metal.', response: 'Iron is one.' }, { messages: '\u001B[2J\u202E' }));
    const { code, stdout, stderr } = await sgpo(['data', 'check', file], { cwd: folder });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/2: 1 kept, 1 dropped/);
    for (const part of ['\u001B', '\u202E', 'undefined']) expect(stdout).not.toContain(part);
  });

  test('--as decides how rows are read, --columns and --format name what the columns do not tell, --scores switches the rules of scores off', async () => {
    const pairs = write('pairs.jsonl', rows({ prompt: 'a?', chosen: 'yes, it is', rejected: 'no, it is not', score_chosen: 1, score_rejected: 5 }, { prompt: 'b?', chosen: 'up we go', rejected: 'down we go', score_chosen: 5, score_rejected: 1 }));
    expect(await ask(pairs)).toMatchObject({ as: 'preference', kept: 1, dropped: { inverted_scores: 1 } });
    expect(await ask(pairs, { scores: 'ignore' })).toMatchObject({ as: 'preference', kept: 2 });
    expect(await ask(pairs, { as: 'policy' })).toMatchObject({ as: 'policy', kept: 2 });
    const odd = write('odd.jsonl', rows({ question: 'a?', answer: 'yes, it is' }));
    const columns = { prompt: 'question', response: 'answer' };
    await expect(ask(odd)).rejects.toThrow(wrongColumns);
    await expect(ask(odd, { as: 'preference', columns })).rejects.toThrow(wrongColumns);
    expect(await ask(odd, { format: 'prompt-response', columns })).toMatchObject({ format: 'prompt-response', kept: 1 });
    expect(printed(await check(odd, '--format', 'prompt-response', '--columns', 'prompt=question, response=answer', '--as', 'policy', '--scores', 'ignore'))).toMatchObject({ as: 'policy', format: 'prompt-response', kept: 1 });
  });

  test('the format tells how rows are read; conversations with several turns of the user, wherever they stand, are for Step 0', async () => {
    const talk = (name: string, turns: number): object => ({ messages: Array.from({ length: 2 * turns }, (_, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content: `${name} ${String(index)}` })) });
    const single = Array.from({ length: 80 }, (_, index) => talk(String(index), 1));
    expect(await ask(write('single.jsonl', rows(...single)))).toMatchObject({ as: 'improver', format: 'messages', kept: 80 });
    expect(await ask(write('multi.jsonl', rows(...single, talk('last', 2))))).toMatchObject({ as: 'sft', format: 'messages', kept: 81 });
    expect(await ask(write('help.jsonl', rows({ context: [{ role: 'user', content: 'a?' }], response1: 'yes, it is', response2: 'no, it is not', overall_preference: -1 })))).toMatchObject({ as: 'preference', format: 'helpsteer3' });
  });

  test('--held-out drops the rows whose prompts an evaluation set has, whole or as their first turn', async () => {
    const evaluated = write('evaluated.jsonl', rows({ prompt: 'Name a lake.', response: 'Como is one.' }));
    const file = write('overlap.jsonl', rows(
      { prompt: 'Name a lake.', response: 'Garda is one.' }, { prompt: 'Name a sea.', response: 'The Baltic.' },
      { messages: [['user', 'Name a lake.'], ['assistant', 'Garda.'], ['user', 'Another?'], ['assistant', 'Como, too.']].map(([role, content]) => ({ role, content })) },
    ));
    expect(await ask(file, { as: 'sft' })).toMatchObject({ kept: 3 });
    expect(printed(await check(file, '--as', 'sft', '--held-out', evaluated))).toMatchObject({ kept: 1, dropped: { evaluation_prompt: 2 } });
    await expect(ask(file, { heldOut: 'none.jsonl' })).rejects.toThrow(expect.objectContaining({ code: 'DATASET.NOT_FOUND' }) as Error);
  });

  test('a folder and a glob are one set', async () => {
    mkdirSync(join(folder, 'parts'));
    for (const name of ['b', 'a']) write(`parts/${name}.jsonl`, rows({ prompt: `${name}?`, response: 'yes, it is' }));
    expect(await ask('parts')).toMatchObject({ rows: 2, kept: 2, files: [{ name: 'a.jsonl' }, { name: 'b.jsonl' }] });
    expect(await ask('parts/[a]*')).toMatchObject({ rows: 1 });
  });

  test('prints all of a long answer into a pipe', async () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`column ${String(index)}`, index]));
    const { stdout } = await check(write('wide.jsonl', rows({ prompt: 'a?', response: 'yes, it is', ...many })));
    expect((JSON.parse(stdout) as { schema: unknown[] }).schema).toHaveLength(20_002);
  });

  test.each([['empty.jsonl', '', 'DATASET.EMPTY'], ['nothing-left.jsonl', rows({ prompt: ' ', response: 'x' }), 'DATASET.NO_ROWS_LEFT']])('%s cannot be used as a whole: exit code 2 with the reason and the place', async (name, content, code) => {
    expect(printed(await check(write(name, content))).error).toMatchObject({ code, place: expect.stringContaining(name) });
  });
  test('what is not there cannot either', async () => {
    expect(printed(await check('none.jsonl')).error).toMatchObject({ code: 'DATASET.NOT_FOUND', place: join(folder, 'none.jsonl') });
    await expect(ask('no-*.jsonl')).rejects.toThrow(expect.objectContaining({ code: 'DATASET.NOT_FOUND' }) as Error);
  });

  test('a set of the hub that the hub does not have', async () => {
    const hub = createServer((_request, response) => { response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}'); });
    await new Promise<void>((done) => { hub.listen(0, '127.0.0.1', done); });
    try {
      const outcome = await sgpo(['data', 'check', 'hub:owner/none@v1:train', '--json'], { cwd: folder, environment: { SGPO_HOME: folder, HF_ENDPOINT: `http://127.0.0.1:${String((hub.address() as AddressInfo).port)}` } });
      expect(printed(outcome).error).toMatchObject({ code: 'DATASET.NOT_FOUND', place: 'owner/none' });
    } finally {
      hub.close();
    }
  });

  test.each([[['data', 'check']], [['data', 'check', 'x', '--as', 'nothing']], [['data', 'check', 'x', '--columns', 'a']]])('%j is wrong usage', async (args) => {
    const { code, stdout, stderr } = await sgpo(args, { cwd: folder });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('error: ');
  });
});

test('paths: local, on the hub with revision and split, and what is neither', () => {
  const options = { userFolder: '/home/me', hubToken: true };
  expect(sourceOf('rows.jsonl', options)).toMatchObject({ path: '/home/me/rows.jsonl', hub: null, format: 'auto', columns: null });
  expect(sourceOf('s3://b/k/', options)).toMatchObject({ path: 's3://b/k/' });
  expect(sourceOf('hub:a/b', options).hub).toEqual({ repo: 'a/b', revision: 'main', config: null, split: 'train', token: 'env:HF_TOKEN' });
  expect(sourceOf('hub:a/b@refs/pr/1:test_sft', { ...options, hubToken: false }).hub).toEqual({ repo: 'a/b', revision: 'refs/pr/1', config: null, split: 'test_sft', token: null });
  expect(() => sourceOf('hub:', options)).toThrow('names no data set of the hub');
});
