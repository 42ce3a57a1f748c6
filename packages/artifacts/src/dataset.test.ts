import { execFileSync } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { describeDataset, readDataset } from './dataset.ts';
import { maxLineBytes } from './json-lines.ts';
import { createFolderStore } from './store.ts';
import { createTables } from './tables.ts';
import { collect, errorOf, temporaryFolder } from './testing/temporary-folder.ts';

async function dataset(content: string | Uint8Array, name = 'rows.jsonl'): Promise<{ path: string; root: string; describe: () => ReturnType<typeof describeDataset>; read: () => ReturnType<typeof collect<{ line: number; value: unknown }>> }> {
  const root = temporaryFolder();
  const path = join(root, name);
  await writeFile(path, content);
  const options = { roots: [root], field: 'data.improver.path' };
  return { path, root, describe: () => describeDataset(path, options), read: () => collect(readDataset(path, options)) };
}

describe('JSON lines', () => {
  it('reads lines with their numbers, past a byte order mark, CRLF and blank lines', async () => {
    const { describe: describeIt, read, path } = await dataset('\ufeff{"prompt":"a"}\r\n\r\n  \n{"response":"ü","prompt":"b"}');
    expect(await describeIt()).toEqual({ format: 'jsonl', columns: ['prompt', 'response'], path });
    expect(await read()).toEqual([{ line: 1, value: { prompt: 'a' } }, { line: 4, value: { response: 'ü', prompt: 'b' } }]);
  });

  it('finds JSON lines whatever the file is called', async () => {
    const { describe: describeIt } = await dataset('{"a":1}\n', 'rows.json');
    expect((await describeIt()).format).toBe('jsonl');
  });

  it('gives back any rows that were written as lines', async () => {
    const root = temporaryFolder();
    await fc.assert(fc.asyncProperty(fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1 }), async (values) => {
      await writeFile(join(root, 'x.jsonl'), values.map((value) => ` ${JSON.stringify(value)}\n`).join(''));
      const expected = values.map((value, at) => ({ line: at + 1, value: JSON.parse(JSON.stringify(value)) as unknown }));
      expect(await collect(readDataset(join(root, 'x.jsonl'), { roots: [root] }))).toEqual(expected);
    }), { numRuns: 40 });
  });

  it('keeps hostile keys as plain properties', async () => {
    const { read, describe: describeIt } = await dataset('{"__proto__":{"polluted":true},"constructor":1}\n');
    const [row] = await read();
    expect(Object.getPrototypeOf(row!.value)).toBe(Object.prototype);
    expect(Object.keys(row!.value as object)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect((await describeIt()).columns).toEqual(['__proto__', 'constructor']);
  });

  it.each([
    ['cut text', '{"a":1}\n{"a":"secret', 'line 2 is not JSON: it is broken at character 13: Unterminated string'],
    ['no JSON', '{"a":1}\n\nsecret\n', 'line 3 is not JSON: it has an unexpected character'],
    ['a missing comma', '{"a":1 "secret":2}', 'line 1 is not JSON: it is broken at character 8: Expected \',\' or \'}\' after property value'],
    ['an empty value', '{"a":', 'line 1 is not JSON: it ends too early'],
    ['pretty-printed JSON', '{\n "a": 1\n}', 'line 1 is not JSON'],
    ['a byte order mark further down', '{"a":1}\n\ufeff{"a":1}', 'line 2 is not JSON'],
    ['a raw control character', '{"a":"\u0001"}', 'line 1 is not JSON: it is broken at character 7: Bad control character in string literal'],
    ['something after the value', '{"a":1} {"secret":2}', 'line 1 is not JSON: it is broken at character 9: Unexpected non-whitespace character after JSON'],
    ['a lone word', 'undefined', 'line 1 is not JSON'],
  ])('tells the line and the reason, not the text: %s', async (_, content, message) => {
    const { read, describe: describeIt, path } = await dataset(content);
    for (const error of [await errorOf(read()), await errorOf(describeIt())]) {
      expect(error.code).toBe('DATASET.MALFORMED_LINE');
      expect(error.message).toContain(message);
      expect(error.message).not.toContain('secret');
      expect(error.problems).toEqual([{ field: 'data.improver.path', value: path, message: error.message.slice('data.improver.path: '.length), fix: error.remedy }]);
    }
  });

  it('tells the line that is not UTF-8', async () => {
    const { read } = await dataset(Buffer.concat([Buffer.from('{"a":1}\n{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')]));
    expect((await errorOf(read())).message).toContain('line 2 is not UTF-8');
  });

  it('gives the rows before a bad line, and does not see a bad line behind the head', async () => {
    const { path, root, describe: describeIt } = await dataset(`${'{"a":1}\n'.repeat(64)}oops\n`);
    expect((await describeIt()).columns).toEqual(['a']);
    let seen = 0;
    const reading = (async () => { for await (const row of readDataset(path, { roots: [root] })) seen = row.line; })();
    expect((await errorOf(reading)).message).toContain('line 65');
    expect(seen).toBe(64);
  });

  it('takes lines up to the limit and refuses longer ones', async () => {
    const padding = '{"a":""}'.length;
    const { read } = await dataset(`{"a":"${'x'.repeat(maxLineBytes - padding)}"}\n{}\n`);
    expect(await read()).toHaveLength(2);
    const { read: readLong } = await dataset(`{}\n{"a":"${'x'.repeat(maxLineBytes - padding + 1)}"}\n`);
    expect((await errorOf(readLong())).message).toContain('line 2 is longer than');
  });

  it('bears deep nesting', async () => {
    const { read } = await dataset(`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}\n`);
    const outcome = await read().then((rows) => rows.length, (error: { code: string }) => error.code);
    expect([1, 'DATASET.MALFORMED_LINE']).toContain(outcome);
  });

  it('streams 100k rows', async () => {
    const { path, root } = await dataset(Array.from({ length: 100_000 }, (_, at) => `{"n":${String(at)},"text":"${'words '.repeat(40)}"}\n`).join(''));
    let next = 0;
    for await (const { line, value } of readDataset(path, { roots: [root] })) {
      if (line !== next + 1 || (value as { n: number }).n !== next) throw new Error(`line ${String(line)}`);
      next += 1;
    }
    expect(next).toBe(100_000);
  });
});

describe('a JSON array', () => {
  it('is read with the place of each row', async () => {
    const { describe: describeIt, read } = await dataset(' \n[{"a":1},\n{"b":null}]', 'rows.json');
    expect(await describeIt()).toMatchObject({ format: 'json', columns: ['a', 'b'] });
    expect(await read()).toEqual([{ line: 1, value: { a: 1 } }, { line: 2, value: { b: null } }]);
  });
  it.each([['[{"a":1},', 'it begins like a JSON array, but'], ['[1] [2]', 'it begins like a JSON array'], ['[1]', 'none of its first rows']])('is refused when broken: %s', async (content, message) => {
    const { describe: describeIt } = await dataset(content);
    const error = await errorOf(describeIt());
    expect([error.code, error.message]).toEqual(['DATASET.UNREADABLE', expect.stringContaining(message)]);
  });
  it('is refused beyond its size', async () => {
    const { describe: describeIt } = await dataset(Buffer.concat([Buffer.from('['), Buffer.alloc(64 * 1024 * 1024, ' '), Buffer.from(']')]));
    expect((await errorOf(describeIt())).message).toContain('over 67108864');
  });
});

describe('Parquet', () => {
  const parquet = async (rows: number): Promise<string> => {
    const root = temporaryFolder();
    const store = createFolderStore({ root });
    const tables = createTables({ store, temporaryRoot: join(root, 't') });
    onTestFinished(() => tables.close());
    const { digest } = await tables.write({ prompt: 'string', chosen: 'messages', big: 'bigint', score: 'double' },
      Array.from({ length: rows }, (_, at) => ({ prompt: `p${String(at)}`, chosen: at % 2 === 0 ? [{ role: 'user', content: 'x' }] : null, big: 2n ** 60n, score: at / 4 })));
    return join(store.path(digest), 'rows.parquet');
  };
  it('is read in file order', async () => {
    const path = await parquet(5000);
    expect(await describeDataset(path, { roots: ['/'] })).toEqual({ format: 'parquet', columns: ['prompt', 'chosen', 'big', 'score'], path });
    const rows = await collect(readDataset(path, { roots: ['/'] }));
    expect(rows).toHaveLength(5000);
    expect(rows[4998]).toEqual({ line: 4999, value: { prompt: 'p4998', chosen: [{ role: 'user', content: 'x' }], big: 2n ** 60n, score: 1249.5 } });
  });
  it('is refused when empty or broken', async () => {
    expect((await errorOf(describeDataset(await parquet(0), { roots: ['/'] }))).code).toBe('DATASET.EMPTY');
    const { describe: describeIt, read } = await dataset('PAR1 not really', 'x.parquet');
    for (const error of [await errorOf(describeIt()), await errorOf(read())]) {
      expect(error.code).toBe('DATASET.UNREADABLE');
      expect(error.message).not.toContain('x.parquet');
    }
  });
});

describe('refused', () => {
  it.each([['nothing', ''], ['blank lines', '\n \r\n'], ['a byte order mark', '\ufeff'], ['an empty array', '[]']])('as empty: %s', async (_, content) => {
    const { describe: describeIt, read } = await dataset(content);
    expect((await errorOf(describeIt())).code).toBe('DATASET.EMPTY');
    expect(await read()).toEqual([]);
  });
  it.each([['gzip', gzipSync('{}'), 'compressed'], ['UTF-16', Buffer.from('\ufeff{}', 'utf16le'), 'UTF-16'], ['values that are no objects', Buffer.from('1\n"x"\n'), 'none of its first rows']])('as unreadable: %s', async (_, content, message) => {
    const { describe: describeIt } = await dataset(content);
    expect(await errorOf(describeIt())).toMatchObject({ code: 'DATASET.UNREADABLE', message: expect.stringContaining(message) as string });
  });
  it('as unreadable: folders and pipes', async () => {
    const root = temporaryFolder();
    execFileSync('mkfifo', [join(root, 'pipe')]);
    for (const path of [root, join(root, 'pipe')]) expect((await errorOf(describeDataset(path, { roots: [root] }))).code).toBe('DATASET.UNREADABLE');
  });
  it('as not found', async () => {
    const { path, root } = await dataset('{}');
    for (const missing of [`${path}x`, join(path, 'x'), `${path}\0`, join(root, 'x'.repeat(300)), '']) {
      expect((await errorOf(describeDataset(missing, { roots: [root] }))).code).toBe('DATASET.NOT_FOUND');
    }
  });
  it('as not allowed: outside the roots, by link or by dots, existing or not', async () => {
    const { path } = await dataset('{"a":1}');
    const root = temporaryFolder();
    await symlink(path, join(root, 'link'));
    await mkdir(join(root, 'sub'));
    for (const outside of [path, join(root, 'link'), `${root}/sub/../../etc/passwd`, '/etc/passwd', '/etc/no-such-file', `${root}-other/x`]) {
      const error = await errorOf(describeDataset(outside, { roots: [root], field: 'data.policy.path' }));
      expect(error.code).toBe('DATASET.NOT_ALLOWED');
      expect(error.problems[0]).toMatchObject({ field: 'data.policy.path', value: outside, fix: expect.stringContaining(root) as string });
    }
    expect((await errorOf(describeDataset(path, { roots: [] }))).code).toBe('DATASET.NOT_ALLOWED');
  });
  it('not at all, when a link or a linked root stays within the roots', async () => {
    const { path, root } = await dataset('{"a":1}');
    await symlink(path, join(root, 'link'));
    const other = temporaryFolder();
    await symlink(root, join(other, 'root'));
    for (const [given, roots] of [[join(root, 'link'), [root]], [join(other, 'root', 'link'), [join(other, 'root')]], [path, ['/no/such/folder', join(other, 'root')]]] as const) {
      expect((await describeDataset(given, { roots })).path).toBe(path);
    }
  });
});
