import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SgpoError, type Digest } from '@sgpo/core';
import { buildManifest } from './manifest.ts';
import { createFolderStore, type ArtifactStore, type ByteRange } from './store.ts';
import { errorOf, temporaryFolder } from './testing/temporary-folder.ts';

const absent = 'a'.repeat(64) as Digest;
const newStore = (): { store: ArtifactStore; root: string } => {
  const root = temporaryFolder();
  return { store: createFolderStore({ root }), root };
};
const hello = (store: ArtifactStore, text = 'hello world') => store.publish(async (dir) => {
  await mkdir(join(dir, 'sub'));
  await writeFile(join(dir, 'sub', 'hello.txt'), text);
  await writeFile(join(dir, 'empty'), '');
});
const published = async (root: string): Promise<string[]> => {
  const prefixes = (await readdir(root)).filter((name) => name !== 'tmp');
  return (await Promise.all(prefixes.map((prefix) => readdir(join(root, prefix))))).flat();
};

describe('publish', () => {
  it('names the artifact by its manifest and leaves nothing temporary', async () => {
    const { store, root } = newStore();
    const artifact = await hello(store);
    expect(store.path(artifact.digest)).toBe(join(root, artifact.digest.slice(0, 2), artifact.digest));
    expect((await buildManifest(store.path(artifact.digest))).digest).toBe(artifact.digest);
    expect(artifact.bytes).toBe(11);
    expect(await store.describe(artifact.digest)).toEqual(artifact);
    expect(await store.verify(artifact.digest)).toBe(true);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('keeps the artifact that is there, also when equal ones are published at once', async () => {
    const { store, root } = newStore();
    const first = await hello(store);
    const { ino } = await stat(store.path(first.digest));
    const again = await Promise.all(Array.from({ length: 8 }, () => hello(store)));
    expect(new Set(again.map(({ digest }) => digest))).toEqual(new Set([first.digest]));
    expect((await stat(store.path(first.digest))).ino).toBe(ino);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('publishes equal artifacts at once into an empty store', async () => {
    const { store, root } = newStore();
    const [first, ...others] = await Promise.all(Array.from({ length: 8 }, () => hello(store)));
    expect(others.every(({ digest }) => digest === first?.digest)).toBe(true);
    expect(await published(root)).toHaveLength(1);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('replaces a damaged artifact', async () => {
    const { store } = newStore();
    const { digest } = await hello(store);
    await rm(join(store.path(digest), 'sub'), { recursive: true });
    expect(await store.verify(digest)).toBe(false);
    await hello(store);
    expect(await store.verify(digest)).toBe(true);
  });

  it('leaves nothing when the writer fails, and hands its error on', async () => {
    const { store, root } = newStore();
    const failure = new TypeError('mine');
    await expect(store.publish(async (dir) => { await writeFile(join(dir, 'x'), 'x'); throw failure; })).rejects.toBe(failure);
    await expect(store.publish(() => Promise.reject(new SgpoError('DATASET.EMPTY', 'x', { remedy: 'y' })))).rejects.toThrow(SgpoError);
    await expect(store.publish(() => Promise.resolve())).rejects.toThrow('needs a file');
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    expect(await published(root)).toEqual([]);
  });

  it('refuses links', async () => {
    const { store } = newStore();
    expect((await errorOf(store.publish((dir) => symlink('/etc/hostname', join(dir, 'x'))))).code).toBe('ARTIFACT.CORRUPT');
  });

  it('tells a full disk from other failures of the disk, and both from failures of the network', async () => {
    const { store } = newStore();
    const failing = (code: string, syscall: string) => store.publish(() => Promise.reject(Object.assign(new Error(code), { code, syscall })));
    expect((await errorOf(failing('ENOSPC', 'write'))).code).toBe('STORE.FULL');
    expect((await errorOf(failing('EDQUOT', 'write'))).code).toBe('STORE.FULL');
    expect((await errorOf(failing('EIO', 'fsync'))).code).toBe('STORE.UNAVAILABLE');
    await expect(failing('ECONNREFUSED', 'connect')).rejects.toThrow('ECONNREFUSED');
    const { root } = newStore();
    await writeFile(join(root, 'file'), '');
    expect((await errorOf(hello(createFolderStore({ root: join(root, 'file') })))).code).toBe('STORE.UNAVAILABLE');
  });
});

describe('a killed publisher', () => {
  const script = fileURLToPath(new URL('testing/publish-forever.ts', import.meta.url));
  const start = (...args: string[]) => spawn(process.execPath, ['--conditions=source', script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });

  it('shows nothing when killed between write and rename', async () => {
    const { store, root } = newStore();
    await once(start(root, 'before-rename'), 'exit');
    expect(await published(root)).toEqual([]);
    expect(await readdir(join(root, 'tmp'))).toHaveLength(1);
    expect(await store.sweepTemporary(60_000)).toBe(0);
    expect(await store.sweepTemporary(-60_000)).toBe(1);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('shows whole artifacts alone when killed at any moment', async () => {
    const { root } = newStore();
    for (const delayMs of [3, 11, 24, 37]) {
      const child = start(root);
      await once(child.stdout, 'data');
      await new Promise((resolve) => { setTimeout(resolve, delayMs); });
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const digests = await published(root);
    expect(digests.length).toBeGreaterThanOrEqual(4);
    for (const digest of digests) expect((await buildManifest(join(root, digest.slice(0, 2), digest))).digest).toBe(digest);
  }, 30_000);
});

describe('describe and verify', () => {
  it('say that an artifact is absent', async () => {
    const { store } = newStore();
    expect(await store.describe(absent)).toBeNull();
    expect(await store.verify(absent)).toBe(false);
  });
  it('see a missing, a shorter and a replaced file, and a changed manifest', async () => {
    const { store } = newStore();
    const { digest } = await hello(store);
    const path = join(store.path(digest), 'sub', 'hello.txt');
    await writeFile(path, 'hello');
    expect(await store.verify(digest)).toBe(false);
    await rm(path);
    expect(await store.verify(digest)).toBe(false);
    await symlink('/etc/hostname', path);
    expect(await store.verify(digest)).toBe(false);
    const other = await hello(store, 'other');
    await writeFile(join(store.path(digest), 'manifest.json'), await readFile(join(store.path(other.digest), 'manifest.json')));
    expect((await errorOf(store.describe(digest))).code).toBe('ARTIFACT.CORRUPT');
    expect(await store.verify(digest)).toBe(false);
  });
  it.each(['../../etc', '', 'A'.repeat(64), `${'a'.repeat(62)}/b`])('take no digest %j', async (digest) => {
    const { store } = newStore();
    expect(() => store.path(digest as Digest)).toThrow(expect.objectContaining({ code: 'ARTIFACT.NOT_FOUND' }));
    expect((await errorOf(store.describe(digest as Digest))).code).toBe('ARTIFACT.NOT_FOUND');
  });
});

describe('openFile', () => {
  const read = async (store: ArtifactStore, digest: Digest, range?: ByteRange) => {
    const { stream, bytes, total } = await store.openFile(digest, 'sub/hello.txt', range);
    return { text: (await buffer(stream)).toString(), bytes, total };
  };
  it('streams the whole file or a range, both ends included', async () => {
    const { store } = newStore();
    const { digest } = await hello(store);
    expect(await read(store, digest)).toEqual({ text: 'hello world', bytes: 11, total: 11 });
    expect(await read(store, digest, { start: 0, end: 0 })).toEqual({ text: 'h', bytes: 1, total: 11 });
    expect(await read(store, digest, { start: 6, end: 999 })).toEqual({ text: 'world', bytes: 5, total: 11 });
    const empty = await store.openFile(digest, 'empty');
    expect([empty.bytes, empty.total, (await buffer(empty.stream)).length]).toEqual([0, 0, 0]);
  });
  it.each([{ start: 11, end: 12 }, { start: 5, end: 4 }, { start: -1, end: 4 }, { start: 0.5, end: 4 }, { start: NaN, end: 4 }])('refuses the range %o', async (range) => {
    const { store } = newStore();
    const { digest } = await hello(store);
    expect((await errorOf(store.openFile(digest, 'sub/hello.txt', range))).code).toBe('REQUEST.RANGE');
    expect((await errorOf(store.openFile(digest, 'empty', range))).code).toBe('REQUEST.RANGE');
  });
  it.each(['../../../etc/passwd', '/etc/passwd', 'manifest.json', 'sub', 'sub/../sub/hello.txt', '', 'secret'])('opens no file that is not listed: %j', async (path) => {
    const { store } = newStore();
    const { digest } = await hello(store);
    await writeFile(join(store.path(digest), 'secret'), 'x');
    expect((await errorOf(store.openFile(digest, path))).code).toBe('ARTIFACT.FILE_NOT_FOUND');
  });
  it('says what is gone or damaged', async () => {
    const { store } = newStore();
    const { digest } = await hello(store);
    expect((await errorOf(store.openFile(absent, 'x'))).code).toBe('ARTIFACT.NOT_FOUND');
    await writeFile(join(store.path(digest), 'empty'), 'x');
    expect((await errorOf(store.openFile(digest, 'empty'))).code).toBe('ARTIFACT.CORRUPT');
    await rm(join(store.path(digest), 'empty'));
    expect((await errorOf(store.openFile(digest, 'empty'))).code).toBe('ARTIFACT.MISSING_FILES');
  });
});

describe('importFolder', () => {
  it('copies the chosen files, follows links to files, and not links to folders', async () => {
    const { store } = newStore();
    const source = temporaryFolder();
    const elsewhere = temporaryFolder();
    await writeFile(join(elsewhere, 'blob'), 'weights');
    await mkdir(join(source, 'sub'));
    await writeFile(join(source, 'sub', 'a.json'), '{}');
    await writeFile(join(source, 'pickle.bin'), 'no');
    await symlink(join(elsewhere, 'blob'), join(source, 'model.safetensors'));
    await symlink(elsewhere, join(source, 'folder'));
    await symlink(join(source, 'loop'), join(source, 'loop'));
    await symlink(join(source, 'nowhere'), join(source, 'dangling'));
    const seen: string[] = [];
    const { digest, files } = await store.importFolder(source, (path) => { seen.push(path); return path !== 'pickle.bin'; });
    expect(seen.toSorted()).toEqual(['model.safetensors', 'pickle.bin', 'sub/a.json']);
    expect(files.map(({ path }) => path)).toEqual(['model.safetensors', 'sub/a.json']);
    await writeFile(join(elsewhere, 'blob'), 'changed in place');
    expect(await readFile(join(store.path(digest), 'model.safetensors'), 'utf8')).toBe('weights');
  });
  it('leaves the source alone when the artifact is there already', async () => {
    const { store } = newStore();
    const source = temporaryFolder();
    await writeFile(join(source, 'a'), 'a');
    const first = await store.importFolder(source, () => true);
    expect((await store.importFolder(source, () => true)).digest).toBe(first.digest);
    expect(await readFile(join(source, 'a'), 'utf8')).toBe('a');
  });
});

describe('sweepTemporary', () => {
  it('spares a folder in which a file still grows', async () => {
    const { store, root } = newStore();
    expect(await store.sweepTemporary(0)).toBe(0);
    const old = new Date(Date.now() - 3_600_000);
    for (const name of ['old', 'growing']) {
      await mkdir(join(root, 'tmp', name), { recursive: true });
      await writeFile(join(root, 'tmp', name, 'file'), 'x');
      if (name === 'old') await utimes(join(root, 'tmp', name, 'file'), old, old);
      await utimes(join(root, 'tmp', name), old, old);
    }
    await link(join(root, 'tmp', 'growing', 'file'), join(root, 'tmp', 'growing', 'other'));
    await utimes(join(root, 'tmp', 'growing'), old, old);
    expect(await store.sweepTemporary(60_000)).toBe(1);
    expect(await readdir(join(root, 'tmp'))).toEqual(['growing']);
  });
});
