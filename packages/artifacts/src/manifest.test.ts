import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildManifest, parseManifest } from './manifest.ts';
import { errorOf, temporaryFolder } from './testing/temporary-folder.ts';

interface Vector { name: string; files: Record<string, string>; manifest: string; digest: string }
const vectors = JSON.parse(await readFile(new URL('../../../test/contract/manifest.json', import.meta.url), 'utf8')) as Vector[];
const file = (path: string): string => JSON.stringify({ files: [{ bytes: 3, path, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' }] });

describe('contract vectors', () => {
  it.each(vectors)('$name', async ({ files, manifest, digest }) => {
    const dir = temporaryFolder();
    for (const [path, hex] of Object.entries(files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), Buffer.from(hex, 'hex'));
    }
    const built = await buildManifest(dir);
    expect(built.text).toBe(manifest);
    expect(built.digest).toBe(digest);
    expect(parseManifest(manifest)).toEqual(built);
  });
});

it('sorts by code point, where UTF-16 order differs', async () => {
  const dir = temporaryFolder();
  for (const name of ['\u{1f600}', '\uffee', 'z']) await writeFile(join(dir, name), '');
  expect((await buildManifest(dir)).files.map((one) => one.path)).toEqual(['z', '\uffee', '\u{1f600}']);
});

it('leaves out manifest.json at the top alone', async () => {
  const dir = temporaryFolder();
  await mkdir(join(dir, 'sub'));
  await writeFile(join(dir, 'manifest.json'), 'x');
  await writeFile(join(dir, 'sub', 'manifest.json'), 'abc');
  const { files, bytes } = await buildManifest(dir);
  expect(files.map((one) => one.path)).toEqual(['sub/manifest.json']);
  expect(bytes).toBe(3);
});

describe('buildManifest refuses', () => {
  it('a link to a file or folder', async () => {
    for (const target of ['/etc/hostname', '/etc']) {
      const dir = temporaryFolder();
      await symlink(target, join(dir, 'link'));
      expect((await errorOf(buildManifest(dir))).code).toBe('ARTIFACT.CORRUPT');
    }
  });
  it.each(['a\nb', 'a\\b', 'a\u007f', 'a\u0085'])('the name %j', async (name) => {
    const dir = temporaryFolder();
    await writeFile(join(dir, name), '');
    expect((await errorOf(buildManifest(dir))).message).toContain('the path');
  });
  it('a name that is not UTF-8', async () => {
    const dir = temporaryFolder();
    await writeFile(Buffer.concat([Buffer.from(`${dir}/a`), Buffer.from([0xff])]), '');
    expect((await errorOf(buildManifest(dir))).code).toBe('ARTIFACT.CORRUPT');
  });
});

describe('parseManifest refuses', () => {
  const good = file('a');
  it.each([
    ['no JSON', '{'],
    ['another shape', '[]'],
    ['white space', ` ${good}`],
    ['another key order', '{"files":[{"path":"a","bytes":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}'],
    ['a further key', good.replace('"bytes"', '"a":1,"bytes"')],
    ['a repeated path', good.replace(/\[(.*)\]/, '[$1,$1]')],
    ['an upper-case hash', good.replace('ba78', 'BA78')],
    ['a negative size', good.replace('3', '-3')],
    ['a size as text', good.replace('"bytes":3', '"bytes":"3"')],
    ['a path out of the folder', file('../a')],
    ['an absolute path', file('/a')],
    ['a dot segment', file('a/./b')],
    ['an empty path', file('')],
    ['a control character', file('a\u0000')],
    ['a lone surrogate', file('\ud800')],
    ['itself in the list', file('manifest.json')],
  ])('%s', (_, text) => {
    expect(() => parseManifest(text)).toThrow(expect.objectContaining({ code: 'ARTIFACT.CORRUPT' }));
  });
});
