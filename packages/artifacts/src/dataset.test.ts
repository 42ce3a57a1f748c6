import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findDataset, readDataset } from './dataset.ts';
import { maxLineBytes } from './json-lines.ts';
import { createFolderStore } from './store.ts';
import { createTables } from './tables.ts';
import { accessTo, setAt, sourceOf, testSet, valuesOf } from './testing/sources.ts';
import { collect, errorOf, temporaryFolder } from './testing/temporary-folder.ts';

describe('JSON lines', () => {
  it('reads lines with their numbers, past a byte order mark, CRLF, blank lines and U+2028', async () => {
    const set = await testSet('\ufeff{"prompt":"a"}\r\n\r\n  \n{"response":"ü\u2028x","prompt":"b"}');
    expect(await set.head()).toEqual({ container: 'jsonl', columns: ['prompt', 'response'], rows: [{ prompt: 'a' }, { response: 'ü\u2028x', prompt: 'b' }] });
    expect(await set.read()).toMatchObject([{ line: 1, file: null, value: { prompt: 'a' } }, { line: 4, value: { response: 'ü\u2028x', prompt: 'b' } }]);
  });
  it('gives back any rows that were written as lines, packed or not', async () => {
    const root = temporaryFolder();
    await fc.assert(fc.asyncProperty(fc.array(fc.dictionary(fc.string().filter((key) => !/proto/.test(key)), fc.string()), { minLength: 1 }), fc.constantFrom((bytes: Buffer) => bytes, gzipSync, zstdCompressSync), async (values, pack) => {
      fc.pre(values.some((value) => Object.keys(value).length > 0));
      await writeFile(join(root, 'x.jsonl'), pack(Buffer.from(values.map((value) => ` ${JSON.stringify(value)}\n`).join(''))));
      expect(valuesOf(await setAt(join(root, 'x.jsonl'), root).read())).toEqual(values.map((value) => JSON.parse(JSON.stringify(value)) as unknown));
    }), { numRuns: 40 });
  });
  const good = '{"a":1}\n';
  it.each([
    ['cut text', `${good}{"a":"secret`, 'line 2 is not JSON: it is broken at character 13: Unterminated string'],
    ['no JSON', `${good}\nsecret\n`, 'line 3 is not JSON: it has an unexpected character'],
    ['a missing comma', `${good}{"a":1 "secret":2}`, 'line 2 is not JSON: it is broken at character 8: Expected \',\' or \'}\' after property value'],
    ['an empty value', `${good}{"a":`, 'line 2 is not JSON: it ends too early'],
    ['a byte order mark further down', `${good}\ufeff{"a":1}`, 'line 2 is not JSON'],
    ['a raw control character', `${good}{"a":"\u0001"}`, 'line 2 is not JSON: it is broken at character 7: Bad control character in string literal'],
    ['something after the value', `${good}{"a":1} {"secret":2}`, 'line 2 is not JSON: it is broken at character 9: Unexpected non-whitespace character after JSON'],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.from(`${good}{"a":"`), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')]), 'line 2 is not UTF-8'],
    ['a line over the limit', `${good}{"a":"${'x'.repeat(maxLineBytes)}"}\n`, 'line 2 is longer than 8388608 bytes'],
  ])('drops a line with a reason that tells no text, or ends there when it is told to: %s', async (_, content, message) => {
    const set = await testSet(content);
    const [first, second, ...others] = await set.read();
    expect(first).toMatchObject({ line: 1, value: { a: 1 } });
    expect(second).toMatchObject({ reason: expect.stringMatching(/malformed_line|not_utf8|line_too_long/) as string, detail: expect.stringContaining(message) as string });
    expect(others).toEqual([]);
    expect(JSON.stringify(second)).not.toContain('secret');
    const error = await errorOf(set.read('fail'));
    expect(error.code).toBe('DATASET.MALFORMED_LINE');
    expect(error.problems).toEqual([{ field: 'data.improver.path', value: set.path, message: error.message.slice('data.improver.path: '.length), fix: error.remedy }]);
    expect(error.message).toContain(message);
  });
  it('goes on behind a line over the limit', async () => {
    const set = await testSet(`${good}${'x'.repeat(3 * maxLineBytes)}\n${good}`);
    expect(valuesOf(await set.read())).toEqual([{ a: 1 }, 'line_too_long', { a: 1 }]);
    const padding = '{"a":""}'.length;
    expect(await (await testSet(`{"a":"${'x'.repeat(maxLineBytes - padding)}"}\n`)).read()).toMatchObject([{ value: {} }]);
  });
  it.each([['text', 'a,b\n1,2\n'], ['pretty-printed JSON', '{\n "a": 1\n}'], ['binary', Buffer.from(Array.from({ length: 3000 }, (_, n) => (n * 37) % 251 + 4))]])('is refused as a whole when none of the first 64 is JSON: %s', async (_, content) => {
    const error = await errorOf((await testSet(content)).read());
    expect(error).toMatchObject({ code: 'DATASET.MALFORMED_LINE', message: expect.stringContaining('line 1 ') as string });
  });
  it('is not refused for a good line among the first 64', async () => {
    expect(await (await testSet(`${'oops\n'.repeat(63)}${good}oops\n`)).read()).toHaveLength(65);
    expect((await errorOf((await testSet(`${'oops\n'.repeat(64)}${good}`)).read())).code).toBe('DATASET.MALFORMED_LINE');
  });
  it('is not refused for first lines that are too long, however many bytes they take', async () => {
    const long = 'x'.repeat(maxLineBytes + 1);
    expect(valuesOf(await (await testSet(`${long}\n${long}\n${good}`)).read())).toEqual(['line_too_long', 'line_too_long', { a: 1 }]);
  });
  it('streams 100k rows, and only counts those that nobody wants', async () => {
    const { path, root } = await testSet(Array.from({ length: 100_000 }, (_, at) => `{"n":${String(at)},"text":"${'words '.repeat(40)}"}\n`).join(''));
    let next = 0;
    const reading = await readDataset(await findDataset(sourceOf({ path }), accessTo(root)), 'drop', { wanted: () => next < 50_000 });
    for await (const row of reading.rows()) {
      if (row.line !== next + 1 || ('value' in row ? (row.value as { n: number }).n !== next : next < 50_000)) throw new Error(`line ${String(row.line)}`);
      next += 1;
    }
    expect(next).toBe(100_000);
  });
});

describe('a JSON array', () => {
  it('is read with the place of each row, whatever the file is called', async () => {
    const set = await testSet('\ufeff \n[{"a":"]}\\",["},\n{"b":[1,{"c":null}]}]\n');
    expect(await set.head()).toMatchObject({ container: 'json', columns: ['a', 'b'] });
    expect(await set.read()).toMatchObject([{ line: 1, value: { a: ']}\\",['.replace('\\', '') } }, { line: 2, value: { b: [1, { c: null }] } }]);
  });
  it('gives back any array, in one piece or many', async () => {
    const root = temporaryFolder();
    await fc.assert(fc.asyncProperty(fc.array(fc.record({ text: fc.string(), more: fc.jsonValue({ maxDepth: 3 }) }), { minLength: 1 }), fc.constantFrom(undefined, 2), async (values, indent) => {
      fc.pre(!JSON.stringify(values).includes('proto'));
      await writeFile(join(root, 'x.json'), JSON.stringify(values, undefined, indent));
      expect(valuesOf(await setAt(join(root, 'x.json'), root).read())).toEqual(JSON.parse(JSON.stringify(values)));
    }), { numRuns: 40 });
  });
  it('drops a broken element with its place', async () => {
    expect(valuesOf(await (await testSet('[{"a":1},{"a" 2},,{"a":NaN},{"a":4},]')).read())).toEqual([{ a: 1 }, 'malformed_line', 'malformed_line', { a: Infinity }, { a: 4 }, 'malformed_line']);
    expect(valuesOf(await (await testSet(`[{"a":1},{"a":"${'x'.repeat(maxLineBytes)}"},{"a":3}]`)).read())).toEqual([{ a: 1 }, 'line_too_long', { a: 3 }]);
  });
  it.each([['[{"a":1},{"a":2}', 'cut off in or after row 2'], ['[{"a":1}] [2]', 'something follows'], ['[{"a":"x', 'cut off in or after row 1'], ['[1]', 'none of its first rows']])('is refused when broken: %s', async (content, message) => {
    expect(await errorOf((await testSet(content)).read())).toMatchObject({ code: 'DATASET.UNREADABLE', message: expect.stringContaining(message) as string });
  });
  it('is read beyond any size that memory could hold at once', async () => {
    const row = `{"text":"${'words '.repeat(2000)}"}`;
    const set = await testSet(`[${Array.from({ length: 6000 }, () => row).join(',')}]`);
    expect(await set.read()).toHaveLength(6000);
  });
});

describe('packed files', () => {
  const text = Array.from({ length: 30_000 }, (_, n) => `{"n":${String(n)},"noise":"${((n * 7919) % 99_991).toString(36)}"}\n`).join('');
  const third = (part: number): Buffer => Buffer.from(text.slice(Math.floor((text.length * part) / 3), Math.floor((text.length * (part + 1)) / 3)));
  it.each([
    ['gzip', gzipSync(text)], ['gzip of several members', Buffer.concat([0, 1, 2].map((part) => gzipSync(third(part))))],
    ['zstd', zstdCompressSync(text)], ['zstd of several frames', Buffer.concat([0, 1, 2].map((part) => zstdCompressSync(third(part))))],
    ['zstd with frames without data', Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]), zstdCompressSync(third(0)), zstdCompressSync(third(1)), Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), zstdCompressSync(third(2))])],
    ['a packed array', gzipSync(`[${text.trimEnd().replaceAll('\n', ',')}]`)],
  ])('are read whole: %s', async (_, content) => {
    const rows = await (await testSet(content, 'rows.bin')).read();
    expect(rows).toHaveLength(30_000);
    expect(rows.at(-1)).toMatchObject({ value: { n: 29_999 } });
  });
  it.each([
    ['gzip cut off', gzipSync(text).subarray(0, 40_000), 'its gzip stream is cut off'], ['zstd cut off', zstdCompressSync(text).subarray(0, 40_000), 'its zstd stream is cut off'],
    ['gzip with rubbish behind it', Buffer.concat([gzipSync(text), Buffer.from('rubbish')]), 'its gzip stream is broken'], ['zstd with rubbish behind it', Buffer.concat([zstdCompressSync(text), Buffer.from('rubbish')]), 'its zstd stream is broken'],
    ['packed twice', gzipSync(gzipSync(text)), 'packed twice'], ['Parquet inside', zstdCompressSync(Buffer.from('PAR1xxxxPAR1')), 'Parquet file inside zstd'],
  ])('are refused when they break: %s', async (_, content, message) => {
    expect(await errorOf((await testSet(content)).read())).toMatchObject({ code: 'DATASET.UNREADABLE', message: expect.stringContaining(message) as string });
  });
  it('cannot fill the memory: a line without end is read past', async () => {
    const set = await testSet(gzipSync(Buffer.concat([Buffer.from('{"a":1}\n'), Buffer.alloc(400_000_000, 0x61), Buffer.from('\n{"a":2}')]), { level: 1 }));
    const before = process.memoryUsage().rss;
    expect(valuesOf(await set.read())).toEqual([{ a: 1 }, 'line_too_long', { a: 2 }]);
    expect(process.memoryUsage().rss - before).toBeLessThan(200_000_000);
  });
});

describe('Parquet', () => {
  async function parquet(rows: number): Promise<string> {
    const root = temporaryFolder();
    const store = createFolderStore({ root });
    const tables = createTables({ store, temporaryRoot: join(root, 't') });
    onTestFinished(() => tables.close());
    const { digest } = await tables.write({ prompt: 'string', chosen: 'messages', big: 'bigint', score: 'double' },
      Array.from({ length: rows }, (_, at) => ({ prompt: `p${String(at)}`, chosen: at % 2 === 0 ? [{ role: 'user', content: 'x' }] : null, big: 2n ** 60n, score: at / 4 })));
    return join(store.path(digest), 'rows.parquet');
  }
  it('is read in file order, over row groups and files', async () => {
    const path = await parquet(5000);
    expect(await setAt(path, '/').head()).toMatchObject({ container: 'parquet', columns: ['prompt', 'chosen', 'big', 'score'] });
    const root = temporaryFolder();
    for (const name of ['b.parquet', 'a.parquet']) await symlink(path, join(root, name));
    await writeFile(join(root, 'c.jsonl'), '{"prompt":"last"}\n');
    await writeFile(join(root, 'README.md'), 'no rows');
    const rows = await setAt(root, '/').read();
    expect(rows).toHaveLength(10_001);
    expect(rows[4998]).toMatchObject({ file: 'a.parquet', line: 4999, value: { prompt: 'p4998', chosen: [{ role: 'user', content: 'x' }], big: 2n ** 60n, score: 1249.5 } });
    expect(rows[5000]).toMatchObject({ file: 'b.parquet', line: 1 });
    expect(rows[10_000]).toMatchObject({ file: 'c.jsonl', value: { prompt: 'last' } });
  });
  it('drops a row with more text than a line may have', async () => {
    const root = temporaryFolder();
    const store = createFolderStore({ root });
    const tables = createTables({ store, temporaryRoot: join(root, 't') });
    onTestFinished(() => tables.close());
    const { digest } = await tables.write({ prompt: 'string', chosen: 'messages' }, [{ prompt: 'a' }, { prompt: 'b', chosen: [{ role: 'user', content: 'x'.repeat(maxLineBytes) }] }, { prompt: 'c' }]);
    const rows = await setAt(join(store.path(digest), 'rows.parquet'), '/').read();
    expect(rows).toMatchObject([{ value: { prompt: 'a' } }, { line: 2, reason: 'line_too_long', detail: 'row 2 has more than 8388608 bytes of text' }, { value: { prompt: 'c' } }]);
  });
  it('is refused when empty, cut off or no Parquet', async () => {
    expect((await errorOf(setAt(await parquet(0), '/').read())).code).toBe('DATASET.EMPTY');
    const whole = await readFile(await parquet(5000));
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, Math.floor(damaged.length / 3), Math.floor(damaged.length / 2));
    for (const content of ['PAR1 not really', 'PAR1', whole.subarray(0, whole.length / 2), damaged]) {
      const error = await errorOf((await testSet(content, 'x.parquet')).read());
      expect(error).toMatchObject({ code: 'DATASET.UNREADABLE', message: 'data.improver.path: it is not a whole, readable Parquet file' });
    }
  });
});

describe('folders and patterns', () => {
  async function folder(): Promise<string> {
    const root = temporaryFolder();
    await mkdir(join(root, 'sub'));
    for (const name of ['b.jsonl', 'a.jsonl', 'sub/c.jsonl', 'x[1].jsonl', '.hidden.jsonl', 'notes.txt']) await writeFile(join(root, name), `{"from":"${name}"}\n`);
    return root;
  }
  it.each([['', ['a.jsonl', 'b.jsonl', 'x[1].jsonl']], ['*.jsonl', ['a.jsonl', 'b.jsonl', 'x[1].jsonl']], ['**/*.jsonl', ['a.jsonl', 'b.jsonl', 'sub/c.jsonl', 'x[1].jsonl']], ['{a,sub/c}.jsonl', ['a.jsonl', 'sub/c.jsonl']], ['x[1].jsonl', ['x[1].jsonl']]])('%j gives the files by name', async (pattern, names) => {
    const root = await folder();
    expect(valuesOf(await setAt(join(root, pattern), root).read())).toEqual(names.map((name) => ({ from: name })));
  });
  it('hash as one file, and as a list of files', async () => {
    const root = await folder();
    const hash = (text: string) => createHash('sha256').update(text).digest('hex');
    for (const [pattern, expected] of [['a.jsonl', hash('{"from":"a.jsonl"}\n')], ['[ab].jsonl', hash(['a', 'b'].map((name) => `${hash(`{"from":"${name}.jsonl"}\n`)}\n`).join(''))]] as const) {
      const reading = await readDataset(await findDataset(sourceOf({ path: join(root, pattern) }), accessTo(root)), 'drop', { wanted: () => true });
      await collect(reading.rows());
      expect(reading.bytes().sha256).toBe(expected);
    }
  });
  it('name the file that is broken', async () => {
    const root = await folder();
    await writeFile(join(root, 'b.jsonl'), gzipSync('{"a":1}').subarray(0, 20));
    expect((await errorOf(setAt(root, root).read())).message).toBe('data.improver.path: b.jsonl: its gzip stream is cut off');
  });
  it('are refused where nothing is there to read, or it lies elsewhere', async () => {
    const root = await folder();
    const outside = temporaryFolder();
    await writeFile(join(outside, 'secret.jsonl'), '{"a":1}\n');
    const cases = [
      [join(root, '*.csv'), 'DATASET.NOT_FOUND'], [join(root, 'none/*.jsonl'), 'DATASET.NOT_FOUND'], [join(root, '*/../../*/*.jsonl'), 'DATASET.NOT_ALLOWED'], [join(outside, '*.jsonl'), 'DATASET.NOT_ALLOWED'], ['/etc/*', 'DATASET.NOT_ALLOWED'],
    ] as const;
    for (const [path, code] of cases) expect((await errorOf(setAt(path, root).read())).code).toBe(code);
    await symlink(join(outside, 'secret.jsonl'), join(root, 'link.jsonl'));
    for (const path of [root, join(root, '*.jsonl')]) expect((await errorOf(setAt(path, root).read())).code).toBe('DATASET.NOT_ALLOWED');
    await mkdir(join(root, 'empty'));
    expect((await errorOf(setAt(join(root, 'empty'), root).read())).code).toBe('DATASET.EMPTY');
  });
});

describe('refused', () => {
  const text = '{"a":1}\n';
  const utf32 = Buffer.from(Uint32Array.from(Array.from(text, (character) => character.codePointAt(0) ?? 0)).buffer);
  it.each([['nothing', ''], ['blank lines', '\n \r\n'], ['a byte order mark', '\ufeff'], ['an empty array', '[]'], ['packed nothing', gzipSync('')]])('as empty: %s', async (_, content) => {
    expect((await errorOf((await testSet(content)).read())).code).toBe('DATASET.EMPTY');
  });
  it.each([
    ['UTF-16', Buffer.from(`\ufeff${text}`, 'utf16le'), 'UTF-16'], ['UTF-16 without a mark', Buffer.from(text, 'utf16le'), 'UTF-16'], ['UTF-16, the other way round', Buffer.from(text, 'utf16le').swap16(), 'UTF-16'],
    ['UTF-32', utf32, 'UTF-32'], ['UTF-32 with a mark', Buffer.concat([Buffer.from([0xff, 0xfe, 0, 0]), utf32]), 'UTF-32'], ['weights', Buffer.from([0x10, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]), 'binary'], ['zeros', Buffer.alloc(100), 'binary'],
    ['a PNG', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'a picture'], ['a JPEG', Buffer.from([0xff, 0xd8, 0xff, 0xe0]), 'a picture'], ['a PDF', '%PDF-1.7', 'a PDF'], ['Arrow', 'ARROW1\0\0', 'an Arrow file'],
    ['a packed tar archive', gzipSync(Buffer.concat([Buffer.from('rows.jsonl'), Buffer.alloc(247), Buffer.from('ustar'), Buffer.alloc(250)])), 'a tar archive'],
    ['zip', Buffer.from('PK\u0003\u0004xx'), 'zip'], ['bzip2', Buffer.from('BZh91AY'), 'bzip2'],
    ['a web page', '\n<!DOCTYPE html><html></html>', 'web page'], ['a pointer of Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS'],
    ['values that are no objects', '1\n"x"\n', 'none of its first rows'], ['rows that nobody should read', '{"a":1,"a":2}\n', 'line 1 has an object with the key "a" twice'],
  ])('as unreadable: %s', async (_, content, message) => {
    expect(await errorOf((await testSet(content)).read())).toMatchObject({ code: 'DATASET.UNREADABLE', message: expect.stringContaining(message) as string });
  });
  it('as unreadable: pipes', async () => {
    const root = temporaryFolder();
    execFileSync('mkfifo', [join(root, 'pipe')]);
    expect((await errorOf(setAt(join(root, 'pipe'), root).read())).code).toBe('DATASET.UNREADABLE');
  });
  it('as not found', async () => {
    const { path, root } = await testSet('{}');
    for (const missing of [`${path}x`, join(path, 'x'), `${path}\0`, join(root, 'x'.repeat(300)), '']) expect((await errorOf(setAt(missing, root).read())).code).toBe('DATASET.NOT_FOUND');
  });
  it('as not allowed: outside the roots, by link or by dots, existing or not', async () => {
    const { path } = await testSet('{"a":1}');
    const root = temporaryFolder();
    await symlink(path, join(root, 'link'));
    await mkdir(join(root, 'sub'));
    for (const outside of [path, join(root, 'link'), `${root}/sub/../../etc/passwd`, '/etc/passwd', '/etc/no-such-file', `${root}-other/x`]) {
      const error = await errorOf(setAt(outside, root).read());
      expect(error.code).toBe('DATASET.NOT_ALLOWED');
      expect(error.problems[0]).toMatchObject({ field: 'data.improver.path', value: outside, fix: expect.stringContaining(root) as string });
    }
    expect((await errorOf(findDataset(sourceOf({ path }), accessTo(root, { roots: [] })))).code).toBe('DATASET.NOT_ALLOWED');
  });
  it('not at all, when a link or a linked root stays within the roots', async () => {
    const { path, root } = await testSet('{"a":1}');
    await symlink(path, join(root, 'link'));
    const other = temporaryFolder();
    await symlink(root, join(other, 'root'));
    for (const [given, roots] of [[join(root, 'link'), [root]], [join(other, 'root', 'link'), [join(other, 'root')]], [path, ['/no/such/folder', join(other, 'root')]]] as const) {
      expect((await findDataset(sourceOf({ path: given }), accessTo(root, { roots }))).files).toHaveLength(1);
    }
  });
});
