import { randomUUID } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { copyFile, lstat, mkdir, open, readFile, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { SgpoError, isDigest, type Digest } from '@sgpo/core';
import { errnoOf, isAbsent, onStore } from './disk-errors.ts';
import { buildManifest, manifestName, parseManifest, type ArtifactFile, type Manifest } from './manifest.ts';

/** An artifact in the store. `bytes` is the sum over its files. */
export interface Published { readonly digest: Digest; readonly bytes: number; readonly files: readonly ArtifactFile[] }

/** Bytes `start` to `end` of a file, both included, as in an HTTP Content-Range. An `end` past the file means its last byte. */
export interface ByteRange { readonly start: number; readonly end: number }

/**
 * Immutable folders, named by the digest of their manifest, published by one rename: a reader never sees half of one.
 * Every method throws STORE.FULL or STORE.UNAVAILABLE when the disk fails.
 */
export interface ArtifactStore {
  /** Publishes what `write` puts into the empty folder it is given. An equal artifact that is intact is kept; a damaged one is replaced. */
  publish(write: (dir: string) => Promise<void>): Promise<Published>;
  /**
   * Publishes copies of the files of `source` whose path (relative, `/`) passes `include`; the disk shares their blocks where it can.
   * Links to files are followed, links to folders are not.
   */
  importFolder(source: string, include: (path: string) => boolean): Promise<Published>;
  /** Reads the manifest; null when the artifact is absent. ARTIFACT.CORRUPT when the manifest does not match the digest. */
  describe(digest: Digest): Promise<Published | null>;
  /** True when the manifest matches and every file is there with its size. Contents are not hashed. */
  verify(digest: Digest): Promise<boolean>;
  /** Absolute folder of an artifact, whether it exists or not. */
  path(digest: Digest): string;
  /** Absolute path of a listed file, checked to exist with its size. ARTIFACT.NOT_FOUND, FILE_NOT_FOUND, MISSING_FILES or CORRUPT. */
  locate(digest: Digest, path: string): Promise<{ readonly absolute: string; readonly file: ArtifactFile }>;
  /** Opens a listed file. `bytes` will be streamed of `total`. Errors of `locate`, and REQUEST.RANGE. */
  openFile(digest: Digest, path: string, range?: ByteRange): Promise<{ readonly stream: Readable; readonly bytes: number; readonly total: number }>;
  /** Removes temporary folders in which nothing changed for `olderThanMs`: what killed writers left. Returns how many. */
  sweepTemporary(olderThanMs: number): Promise<number>;
}

/** An artifact store in the folder `root`, which is made when it does not exist. Processes and machines may share it. */
export function createFolderStore({ root }: { readonly root: string }): ArtifactStore {
  const base = resolve(root);
  const temporaryBase = join(base, 'tmp');
  const path = (digest: Digest): string => {
    // Digests come from URLs and databases too; anything else joined here would leave the store.
    if (!isDigest(digest)) throw notFound(String(digest));
    return join(base, digest.slice(0, 2), digest);
  };

  async function publish(write: (dir: string) => Promise<void>): Promise<Published> {
    const temporary = join(temporaryBase, randomUUID());
    return onStore(async () => {
      try {
        await mkdir(temporary, { recursive: true });
        await write(temporary);
        const manifest = await buildManifest(temporary);
        if (manifest.files.length === 0) throw new TypeError('an artifact needs a file: nothing was written');
        await writeFile(join(temporary, manifestName), manifest.text);
        await syncTree(temporary);
        await moveIntoPlace(temporary, manifest);
        return published(manifest);
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    });
  }

  async function moveIntoPlace(temporary: string, manifest: Manifest): Promise<void> {
    const target = path(manifest.digest);
    await mkdir(dirname(target), { recursive: true });
    // A second try is needed when a damaged artifact was moved away; a third when another publisher came between.
    for (let triesLeft = 3; ; triesLeft -= 1) {
      try {
        await rename(temporary, target);
        await syncPath(dirname(target));
        await syncPath(base);
        return;
      } catch (error) {
        if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errnoOf(error) ?? '') || triesLeft === 1) throw error;
      }
      if (await verify(manifest.digest)) return;
      await moveAway(target);
    }
  }

  async function moveAway(target: string): Promise<void> {
    const grave = join(temporaryBase, randomUUID());
    try {
      await rename(target, grave);
    } catch (error) {
      if (isAbsent(error)) return;
      throw error;
    }
    await rm(grave, { recursive: true, force: true });
  }

  async function readManifest(digest: Digest): Promise<Manifest | null> {
    let text: string;
    try {
      text = await readFile(join(path(digest), manifestName), 'utf8');
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
    const manifest = parseManifest(text);
    if (manifest.digest !== digest) throw corrupt(digest, 'its manifest has another digest');
    return manifest;
  }

  async function describe(digest: Digest): Promise<Published | null> {
    const manifest = await onStore(() => readManifest(digest));
    return manifest === null ? null : published(manifest);
  }

  async function verify(digest: Digest): Promise<boolean> {
    try {
      const artifact = await describe(digest);
      if (artifact === null) return false;
      for (const file of artifact.files) await checkFile(digest, file);
      return true;
    } catch (error) {
      if (error instanceof SgpoError && (error.code === 'ARTIFACT.CORRUPT' || error.code === 'ARTIFACT.MISSING_FILES')) return false;
      throw error;
    }
  }

  async function checkFile(digest: Digest, file: ArtifactFile): Promise<string> {
    const absolute = join(path(digest), file.path);
    try {
      const found = await lstat(absolute);
      if (!found.isFile() || found.size !== file.bytes) throw corrupt(digest, `${file.path} has not the ${String(file.bytes)} bytes of its manifest`);
      return absolute;
    } catch (error) {
      if (isAbsent(error)) throw missing(digest, file.path, error);
      throw error;
    }
  }

  function locate(digest: Digest, filePath: string): Promise<{ absolute: string; file: ArtifactFile }> {
    return onStore(async () => {
      const manifest = await readManifest(digest);
      if (manifest === null) throw notFound(digest);
      const file = manifest.files.find((candidate) => candidate.path === filePath);
      if (file === undefined) {
        throw new SgpoError('ARTIFACT.FILE_NOT_FOUND', `Artifact ${digest} has no file ${JSON.stringify(filePath)}`, { remedy: 'Take a path from the artifact\'s list of files' });
      }
      return { absolute: await checkFile(digest, file), file };
    });
  }

  async function openFile(digest: Digest, filePath: string, range?: ByteRange): Promise<{ stream: Readable; bytes: number; total: number }> {
    const { absolute, file } = await locate(digest, filePath);
    const total = file.bytes;
    const start = range?.start ?? 0;
    const end = Math.min(range?.end ?? total - 1, total - 1);
    if (range !== undefined && !(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end)) {
      throw new SgpoError('REQUEST.RANGE', `Bytes ${String(range.start)}-${String(range.end)} lie outside the ${String(total)} bytes of ${filePath}`, {
        remedy: `Ask for a range within 0-${String(Math.max(0, total - 1))}, first byte not after the last`,
      });
    }
    if (total === 0) return { stream: Readable.from([]), bytes: 0, total };
    const handle = await onStore(() => open(absolute, constants.O_RDONLY | constants.O_NOFOLLOW));
    return { stream: handle.createReadStream({ start, end }), bytes: end - start + 1, total };
  }

  function importFolder(source: string, include: (path: string) => boolean): Promise<Published> {
    return publish(async (dir) => {
      for await (const relative of filesBelow(source, '')) {
        if (!include(relative)) continue;
        const target = join(dir, relative);
        await mkdir(dirname(target), { recursive: true });
        await copyFile(await realpath(join(source, relative)), target, constants.COPYFILE_FICLONE);
      }
    });
  }

  function sweepTemporary(olderThanMs: number): Promise<number> {
    return onStore(async () => {
      let swept = 0;
      for (const name of await namesIn(temporaryBase)) {
        const candidate = join(temporaryBase, name);
        const changed = await lastChangeMs(candidate);
        if (changed === null || changed > Date.now() - olderThanMs) continue;
        await rm(candidate, { recursive: true, force: true });
        swept += 1;
      }
      return swept;
    });
  }

  return { publish, importFolder, describe, verify, path, locate, openFile, sweepTemporary };
}

const published = ({ digest, bytes, files }: Manifest): Published => ({ digest, bytes, files });

async function* filesBelow(root: string, prefix: string): AsyncGenerator<string> {
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(root, path);
    else if (entry.isFile() || await isLinkToFile(entry, join(root, path))) yield path;
  }
}

async function isLinkToFile(entry: Dirent, absolute: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false;
  try {
    return (await stat(absolute)).isFile();
  } catch (error) {
    if (isAbsent(error) || errnoOf(error) === 'ELOOP') return false;
    throw error;
  }
}

/** Flushes every file below `dir`, then the folders, so that after a power cut a published artifact is whole. */
async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    await (entry.isDirectory() ? syncTree(path) : syncPath(path));
  }
  await syncPath(dir);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** Latest change of anything below `path`, in ms since 1970; null when it went away meanwhile. A growing file does not touch its folder's time. */
async function lastChangeMs(path: string): Promise<number | null> {
  try {
    const found = await lstat(path);
    let latest = found.mtimeMs;
    if (found.isDirectory()) {
      for (const name of await readdir(path)) latest = Math.max(latest, await lastChangeMs(join(path, name)) ?? 0);
    }
    return latest;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

const notFound = (digest: string): SgpoError =>
  new SgpoError('ARTIFACT.NOT_FOUND', `No artifact ${JSON.stringify(digest.slice(0, 80))} in the store`, { remedy: 'Check the digest: 64 lower-case hex digits, as a run lists them' });

const missing = (digest: Digest, path: string, cause: unknown): SgpoError =>
  new SgpoError('ARTIFACT.MISSING_FILES', `${path} of artifact ${digest} is gone from the store`, { remedy: 'Start the run again: what is missing is made anew', cause });

const corrupt = (digest: Digest, what: string): SgpoError =>
  new SgpoError('ARTIFACT.CORRUPT', `Artifact ${digest} is damaged: ${what}`, { remedy: 'Start the run again: what is damaged is made anew; check the disk of the store' });
