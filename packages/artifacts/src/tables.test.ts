import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Digest } from '@sgpo/core';
import type { Row, TableSchema } from './schema.ts';
import { createFolderStore, type ArtifactStore } from './store.ts';
import { createTables, type Tables } from './tables.ts';
import { collect, errorOf, temporaryFolder } from './testing/temporary-folder.ts';

const schema = { id: 'string', pos: 'int', prompt: 'messages', tokens: 'tokens', score: 'double', total: 'bigint', kept: 'boolean' } as const satisfies TableSchema;
const rowAt = (pos: number): Row => ({
  id: `id${String(pos)}`, pos,
  prompt: pos % 5 === 0 ? null : [{ role: 'user', content: `question ${String(pos)} `.repeat(pos % 9) }, { role: 'assistant', content: 'ü\0😀' }],
  tokens: pos % 7 === 0 ? null : Array.from({ length: pos % 13 }, (_, at) => at * pos),
  score: pos % 3 === 0 ? null : pos / 7, total: pos % 4 === 0 ? null : pos * 1e10, kept: pos % 2 === 0,
});
const rowsOf = (from: number, to: number): Row[] => Array.from({ length: to - from }, (_, at) => rowAt(from + at));

function newTables(options: { memoryMb?: number; base?: string } = {}): { tables: Tables; store: ArtifactStore; base: string } {
  const base = options.base ?? temporaryFolder();
  const store = createFolderStore({ root: join(base, 'store') });
  const tables = createTables({ store, temporaryRoot: join(base, 'tmp'), ...options.memoryMb === undefined ? {} : { memoryMb: options.memoryMb } });
  onTestFinished(() => tables.close());
  return { tables, store, base };
}
const fileOf = (store: ArtifactStore, digest: Digest): string => join(store.path(digest), 'rows.parquet');

describe('write', () => {
  it('gives back what was written, as plain JavaScript', async () => {
    const { tables } = newTables();
    const written = await tables.write(schema, rowsOf(0, 5000));
    expect(written.rows).toBe(5000);
    expect(written.files.map(({ path }) => path)).toEqual(['rows.parquet']);
    expect(await collect(tables.scan(written.digest))).toEqual(rowsOf(0, 5000));
    expect(await tables.count(written.digest)).toBe(5000);
  });

  it('gives the digest of its rows also when they go through several pieces', async () => {
    const { tables } = newTables();
    const rows = rowsOf(0, 20_000);
    const shards = await Promise.all([[0, 3000], [3000, 3001], [3001, 20_000]].map(async ([from, to]) => (await tables.write(schema, rows.slice(from, to))).digest));
    const { digest } = await tables.write(schema, rows);
    expect((await tables.concatenate(schema, shards)).digest).toBe(digest);
    expect(await collect(tables.scan(digest))).toEqual(rows);
  });

  it('gives equal rows equal digests, however they come, in whatever process and folder', async () => {
    const { tables } = newTables();
    const rows = rowsOf(0, 4500);
    async function* slowly(): AsyncGenerator<Row> {
      for (const [at, row] of rows.entries()) {
        if (at % 1000 === 999) await new Promise((resolve) => { setTimeout(resolve, 1); });
        yield row;
      }
    }
    const digests = await Promise.all([tables.write(schema, rows), tables.write(schema, slowly()), newTables().tables.write(schema, new Set(rows))]);
    expect(new Set(digests.map(({ digest }) => digest)).size).toBe(1);
    expect((await tables.write(schema, rows.toReversed())).digest).not.toBe(digests[0].digest);
    const withoutNulls = rows.map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)));
    expect((await tables.write(schema, withoutNulls)).digest).toBe(digests[0].digest);
  });

  it('keeps the order of the rows and of the columns', async () => {
    const { tables } = newTables();
    const { digest } = await tables.write({ b: 'string', a: 'int' }, [{ b: 'z', a: 2 }, { a: 1, b: 'y' }]);
    expect(await collect(tables.scan(digest))).toEqual([{ b: 'z', a: 2 }, { b: 'y', a: 1 }]);
    expect(Object.keys((await collect(tables.scan(digest)))[0]!)).toEqual(['b', 'a']);
  });

  it('writes a table without rows', async () => {
    const { tables } = newTables();
    const { digest, rows } = await tables.write(schema, []);
    expect(rows).toBe(0);
    expect(await collect(tables.scan(digest))).toEqual([]);
    expect(await tables.count(digest)).toBe(0);
    expect((await tables.concatenate(schema, [digest, digest])).digest).toBe(digest);
    expect((await tables.concatenate(schema, [])).digest).toBe(digest);
  });

  it('takes the limits of each type, and names with quotes', async () => {
    const { tables } = newTables();
    const rows: Row[] = [
      { 'a"b; DROP': -(2 ** 31), big: 2n ** 63n - 1n, d: Number.MAX_VALUE, t: [2 ** 31 - 1], m: [] },
      { 'a"b; DROP': 2 ** 31 - 1, big: -(2n ** 63n), d: -Infinity, t: [], m: [{ role: 'system', content: '' }] },
      { 'a"b; DROP': 0, big: Number.MAX_SAFE_INTEGER, d: NaN, t: [0], m: null },
    ];
    const { digest } = await tables.write({ 'a"b; DROP': 'int', big: 'bigint', d: 'double', t: 'tokens', m: 'messages' }, rows);
    expect(await collect(tables.scan(digest))).toEqual(rows);
  });

  it('round-trips any text; a lone surrogate becomes U+FFFD', async () => {
    const { tables } = newTables();
    const texts = fc.sample(fc.string({ unit: 'binary' }), 3000);
    const written = await tables.write({ text: 'string' }, texts.map((text) => ({ text })));
    expect((await collect(tables.scan(written.digest))).map(({ text }) => text)).toEqual(texts);
    const { digest } = await tables.write({ text: 'string' }, [{ text: 'a\ud800b' }]);
    expect(await collect(tables.scan(digest))).toEqual([{ text: 'a\ufffdb' }]);
  });

  it.each<[string, TableSchema, Row, string]>([
    ['a fraction', { pos: 'int' }, { pos: 0.5 }, 'column "pos" of row 1 must be a 32-bit integer, but is 0.5'],
    ['too large an integer', { pos: 'int' }, { pos: 2 ** 31 }, '32-bit'],
    ['too large a bigint', { pos: 'bigint' }, { pos: 2n ** 63n }, '64-bit'],
    ['an unsafe number', { pos: 'bigint' }, { pos: 2 ** 53 }, '64-bit'],
    ['a number for a text', { text: 'string' }, { text: 5 }, 'must be a string'],
    ['a text for a number', { x: 'double' }, { x: '5' }, 'must be a number, but is a string'],
    ['a message without content', { m: 'messages' }, { m: [{ role: 'user' }] as never }, 'list of {role, content}'],
    ['a null among tokens', { t: 'tokens' }, { t: [1, null] as never }, 'list of 32-bit integers'],
    ['an unknown column', { pos: 'int' }, { pos: 1, other: 2 }, 'has the column "other"'],
  ])('refuses %s, naming the place and no text', async (_, types, row, message) => {
    const { tables, base } = newTables();
    await expect(tables.write(types, [{}, row])).rejects.toThrow(message);
    await expect(tables.write({}, [])).rejects.toThrow('needs columns');
    expect(await readdir(base)).not.toContain('store');
  });

  it('hands on what the rows throw, and goes on working', async () => {
    const { tables } = newTables();
    const failure = new Error('mine');
    function* failing(): Generator<Row> {
      yield* rowsOf(0, 3000);
      throw failure;
    }
    await expect(tables.write(schema, failing())).rejects.toBe(failure);
    expect((await tables.write(schema, rowsOf(0, 10))).rows).toBe(10);
  });

  it('holds 100k wide rows in bounded memory', async () => {
    const { tables } = newTables({ memoryMb: 96 });
    function* wide(): Generator<Row> {
      for (let pos = 0; pos < 100_000; pos += 1) yield { id: String(pos), pos, text: `${String(pos)} ${'words and more words '.repeat(60)}` };
    }
    const before = process.memoryUsage.rss();
    const { digest, rows } = await tables.write({ id: 'string', pos: 'int', text: 'string' }, wide());
    expect(rows).toBe(100_000);
    let seen = 0;
    for await (const row of tables.scan(digest)) {
      if (row['pos'] !== seen) throw new Error(`row ${String(seen)} is out of place`);
      seen += 1;
    }
    expect(seen).toBe(100_000);
    expect((await tables.concatenate({ id: 'string', pos: 'int', text: 'string' }, [digest])).digest).toBe(digest);
    // 125 MB of text: unbounded buffering of it would show several times that.
    expect(process.memoryUsage.rss() - before).toBeLessThan(600e6);
  }, 60_000);
});

describe('scan', () => {
  it('filters by pos and columns, over shards in any order', async () => {
    const { tables } = newTables();
    const shards = await Promise.all([[3000, 5000], [0, 1000], [1000, 3000], [1000, 1000]].map(async ([from, to]) => (await tables.write(schema, rowsOf(from!, to!))).digest));
    expect(await collect(tables.scan(shards))).toEqual(rowsOf(0, 5000));
    expect(await collect(tables.scan(shards, { from: 990, to: 1010, columns: ['id'] }))).toEqual(rowsOf(990, 1010).map(({ id }) => ({ id })));
    expect(await collect(tables.scan(shards, { from: 4990 }))).toEqual(rowsOf(4990, 5000));
    expect(await collect(tables.scan(shards, { to: 3 }))).toEqual(rowsOf(0, 3));
    expect(await collect(tables.scan(shards, { from: 5000 }))).toEqual([]);
    expect(await collect(tables.scan([]))).toEqual([]);
    expect(await tables.count(shards)).toBe(5000);
    expect(await tables.count([])).toBe(0);
  });

  it('sorts rows that are not in order, equal ones in file order', async () => {
    const { tables } = newTables();
    const rows = Array.from({ length: 5000 }, (_, at) => ({ pos: (at * 7919) % 1000, at }));
    const { digest } = await tables.write({ pos: 'bigint', at: 'int' }, rows);
    expect(await collect(tables.scan(digest))).toEqual(rows.toSorted((a, b) => a.pos - b.pos));
    const second = await tables.write({ pos: 'bigint', at: 'int' }, [{ pos: 0, at: -1 }, { pos: 500, at: -2 }]);
    const interleaved = await collect(tables.scan([second.digest, digest], { columns: ['at'] }));
    expect(interleaved[0]).toEqual({ at: -1 });
    expect(interleaved.findIndex(({ at }) => at === -2)).toBe(2501);
    const nulls = await tables.write({ pos: 'int' }, [{ pos: 1 }, { pos: null }, { pos: 2 }]);
    expect(await collect(tables.scan(nulls.digest))).toEqual([{ pos: 1 }, { pos: 2 }, { pos: null }]);
  });

  it('may be left early, many times at once', async () => {
    const { tables } = newTables();
    const { digest } = await tables.write(schema, rowsOf(0, 20_000));
    const firsts = await Promise.all(Array.from({ length: 12 }, async () => {
      for await (const row of tables.scan(digest)) return row['pos'];
      return null;
    }));
    expect(firsts).toEqual(Array.from({ length: 12 }, () => 0));
  });

  it('works where paths hold quotes, patterns and key=value', async () => {
    const { tables } = newTables({ base: join(temporaryFolder(), "it's [a] *{b,c}? k=v %20") });
    const { digest } = await tables.write(schema, rowsOf(0, 10));
    expect(await collect(tables.scan(digest))).toEqual(rowsOf(0, 10));
  });

  it('refuses columns that are not there', async () => {
    const { tables } = newTables();
    const { digest } = await tables.write({ a: 'int' }, [{ a: 1 }]);
    expect((await errorOf(collect(tables.scan(digest, { columns: ['b'] })))).message).toContain('has no column "b"; it has a');
    expect((await errorOf(collect(tables.scan(digest, { from: 0 })))).message).toContain('has no column "pos"');
  });
});

describe('join', () => {
  it('joins parts on pos, with nulls where a part has no row', async () => {
    const { tables } = newTables();
    const rows = (await tables.write(schema, rowsOf(0, 3000))).digest;
    const even = rowsOf(0, 3000).filter(({ pos }) => Number(pos) % 2 === 0).map(({ pos }) => ({ pos, text: `t${String(pos as number)}` }));
    const shards = await Promise.all([even.slice(700), even.slice(0, 700)].map(async (part) => (await tables.write({ pos: 'bigint', text: 'string' }, part)).digest));
    const joined = await collect(tables.join({ rows: { source: rows, columns: { given: 'prompt' } }, even: { source: shards, columns: { 'a "b"': 'text', p: 'pos' } }, none: { source: [], columns: { nothing: 'x' } } }));
    expect(joined).toEqual(rowsOf(0, 3000).map(({ id, pos, prompt }) => {
      const matched = Number(pos) % 2 === 0;
      return { id, pos, given: prompt, 'a "b"': matched ? `t${String(pos as number)}` : null, p: matched ? pos : null, nothing: null };
    }));
    const part = await collect(tables.join({ rows: { source: rows, columns: {} }, even: { source: shards, columns: { text: 'text' } } }, { from: 1399, to: 1402 }));
    expect(part).toEqual([{ id: 'id1399', pos: 1399, text: null }, { id: 'id1400', pos: 1400, text: 't1400' }, { id: 'id1401', pos: 1401, text: null }]);
    expect(await collect(tables.join({ none: { source: [], columns: {} }, rows: { source: rows, columns: { q: 'prompt' } } }))).toEqual([]);
  });

  it('lets the first part repeat a pos, and refuses it in others', async () => {
    const { tables } = newTables();
    const twice = (await tables.write({ id: 'string', pos: 'int' }, [{ id: 'a', pos: 0 }, { id: 'b', pos: 0 }])).digest;
    const once = (await tables.write({ id: 'string', pos: 'int', x: 'int' }, [{ id: 'a', pos: 0, x: 7 }, { id: 'b', pos: 1, x: 8 }])).digest;
    expect(await collect(tables.join({ a: { source: twice, columns: {} }, b: { source: once, columns: { x: 'x' } } }))).toEqual([{ id: 'a', pos: 0, x: 7 }, { id: 'b', pos: 0, x: 7 }]);
    expect((await errorOf(collect(tables.join({ a: { source: once, columns: {} }, b: { source: twice, columns: { y: 'id' } } })))).code).toBe('ARTIFACT.CORRUPT');
    await expect(collect(tables.join({ a: { source: once, columns: { x: 'x' } }, b: { source: once, columns: { x: 'x' } } }))).rejects.toThrow('stands twice');
    await expect(collect(tables.join({ a: { source: once, columns: { pos: 'x' } } }))).rejects.toThrow('stands twice');
  });
});

describe('concatenate', () => {
  it('equals writing the same rows, whatever the shards', async () => {
    const { tables } = newTables();
    const whole = (await tables.write(schema, rowsOf(0, 6000))).digest;
    for (const cuts of [[0, 6000], [0, 1, 2048, 2050, 6000], [0, 512, 1024, 1536, 5000, 5999, 6000]]) {
      const shards: Digest[] = [];
      for (const [at, from] of cuts.slice(0, -1).entries()) shards.push((await tables.write(schema, rowsOf(from, cuts[at + 1]!))).digest);
      expect((await tables.concatenate(schema, shards)).digest).toBe(whole);
      expect(await tables.concatenate(schema, shards.toReversed())).toMatchObject({ digest: whole, rows: 6000 });
    }
    const mixed = await Promise.all([0, 1].map(async (rest) => (await tables.write(schema, rowsOf(0, 6000).filter(({ pos }) => Number(pos) % 2 === rest))).digest));
    expect((await tables.concatenate(schema, mixed)).digest).toBe(whole);
  });

  it('casts to the schema and drops what it does not name', async () => {
    const { tables } = newTables();
    const shard = await tables.write({ extra: 'string', n: 'bigint', pos: 'bigint' }, [{ extra: 'x', n: 5, pos: 0 }]);
    const wanted = { pos: 'int', n: 'double' } as const;
    expect((await tables.concatenate(wanted, [shard.digest])).digest).toBe((await tables.write(wanted, [{ pos: 0, n: 5 }])).digest);
  });

  it('refuses shards without a column of the schema', async () => {
    const { tables } = newTables();
    const full = await tables.write({ pos: 'int', text: 'string' }, [{ pos: 0, text: 'x' }]);
    const bare = await tables.write({ pos: 'int' }, [{ pos: 1 }]);
    for (const shards of [[full.digest, bare.digest], [bare.digest, full.digest], [bare.digest]]) {
      expect((await errorOf(tables.concatenate({ pos: 'int', text: 'string' }, shards))).code).toBe('ARTIFACT.CORRUPT');
    }
    await expect(tables.concatenate({ text: 'string' }, [])).rejects.toThrow('pos');
  });
});

describe('damage', () => {
  const damaged = async (): Promise<{ tables: Tables; file: string; digest: Digest; everyUse: () => Promise<unknown>[] }> => {
    const { tables, store } = newTables();
    const { digest } = await tables.write(schema, rowsOf(0, 10_000));
    const everyUse = () => [collect(tables.scan(digest)), collect(tables.join({ a: { source: digest, columns: { s: 'score' } } })), tables.count(digest), tables.concatenate(schema, [digest])];
    return { tables, file: fileOf(store, digest), digest, everyUse };
  };

  it('tells missing files', async () => {
    const { tables, file, everyUse } = await damaged();
    await rm(file);
    for (const error of await Promise.all(everyUse().map(errorOf))) expect(error.code).toBe('ARTIFACT.MISSING_FILES');
    expect((await errorOf(tables.count('b'.repeat(64) as Digest))).code).toBe('ARTIFACT.MISSING_FILES');
  });

  it('tells a cut file', async () => {
    const { file, everyUse } = await damaged();
    await truncate(file, 1000);
    for (const error of await Promise.all(everyUse().map(errorOf))) expect(error.code).toBe('ARTIFACT.CORRUPT');
  });

  it('tells a file of the right size that is no Parquet, and an artifact that is no table', async () => {
    const { tables, store } = newTables();
    const junk = await store.publish((dir) => writeFile(join(dir, 'rows.parquet'), 'PAR1 and nothing more PAR1'));
    expect((await errorOf(collect(tables.scan(junk.digest)))).code).toBe('ARTIFACT.CORRUPT');
    const other = await store.publish((dir) => writeFile(join(dir, 'report.md'), '#'));
    expect((await errorOf(tables.count(other.digest))).message).toContain('is not a table');
  });

  it('never ends early without an error when pages in the middle are damaged', async () => {
    const { tables, store } = newTables();
    // Text that does not compress fills its pages evenly, so that every place hit lies in a page.
    const { digest } = await tables.write({ pos: 'int', text: 'string' }, Array.from({ length: 10_000 }, (_, pos) => ({ pos, text: createHash('sha512').update(String(pos)).digest('base64') })));
    const file = fileOf(store, digest);
    const whole = await readFile(file);
    for (const at of [0.2, 0.5, 0.8]) {
      const handle = await open(file, 'r+');
      await handle.write(Buffer.alloc(4000, 0xff), 0, 4000, Math.floor(whole.length * at));
      await handle.close();
      const outcome = await collect(tables.scan(digest, { columns: ['text'] })).then((rows) => rows.length, (error: { code: string }) => error.code);
      expect(['ARTIFACT.CORRUPT', 10_000]).toContain(outcome);
      expect(outcome).toBe('ARTIFACT.CORRUPT');
      await writeFile(file, whole);
    }
  });

  it('tells a folder it cannot write to', async () => {
    const { store, base } = newTables();
    await writeFile(join(base, 'file'), '');
    const tables = createTables({ store, temporaryRoot: join(base, 'file') });
    expect((await errorOf(tables.write(schema, []))).code).toBe('STORE.UNAVAILABLE');
    await rm(join(base, 'file'));
    expect((await tables.write(schema, [])).rows).toBe(0);
    await tables.close();
  });
});

it('reads shards that pyarrow wrote: other widths, order of columns and of struct fields', async () => {
  const { tables, store } = newTables();
  const fixture = new URL('testing/pyarrow-shard.parquet', import.meta.url);
  const shard = await store.publish((dir) => copyFile(fixture, join(dir, 'rows.parquet')));
  const wanted = { id: 'string', pos: 'int', m: 'messages', t: 'tokens', d: 'double' } as const;
  const rows: Row[] = [{ id: 'c', pos: 2, m: [{ role: 'user', content: 'x' }], t: [1, 2], d: 1.5 }, { id: 'd', pos: 3, m: null, t: null, d: null }];
  expect((await tables.concatenate(wanted, [shard.digest])).digest).toBe((await tables.write(wanted, rows)).digest);
});

it('close removes the temporary folder and ends further use', async () => {
  const { tables, base } = newTables();
  await tables.write(schema, rowsOf(0, 10));
  await mkdir(join(base, 'tmp'), { recursive: true });
  expect(await readdir(join(base, 'tmp'))).toHaveLength(1);
  await tables.close();
  await tables.close();
  expect(await readdir(join(base, 'tmp'))).toEqual([]);
  await expect(tables.write(schema, [])).rejects.toThrow('closed');
});
