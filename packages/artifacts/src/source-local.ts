import { glob, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { asUnreadable, resolveAllowed } from './allowed-path.ts';
import { datasetPathErrors, problem, type About } from './dataset-errors.ts';
import { byName, hasWildcard, isDataName, maxFiles, type DataFile, type SourceFiles } from './source-files.ts';

/**
 * Files of a path: itself, those right in a folder that have names of data, or what a pattern matches (`*`, `?`, `**`, `{a,b}`), by name. Every one
 * of them must lie in `roots` after links are followed. Throws DATASET.NOT_FOUND, NOT_ALLOWED, EMPTY or UNREADABLE.
 */
export async function localFiles(path: string, about: About, roots: readonly string[]): Promise<SourceFiles> {
  try {
    return { files: await find(path, about, roots), commit: null };
  } catch (error) {
    throw asUnreadable(error, path, about.field, datasetPathErrors);
  }
}

async function find(path: string, about: About, roots: readonly string[]): Promise<readonly DataFile[]> {
  if (hasWildcard(path) && !await exists(path, about, roots)) return matches(path, about, roots);
  const { real, stats } = await resolve(path, about, roots);
  if (stats.isFile()) return [{ name: basename(path), bytes: stats.size, locate: () => Promise.resolve(real) }];
  if (!stats.isDirectory()) throw problem(about, 'DATASET.UNREADABLE', 'it is neither a file nor a folder', 'Name a file: JSON lines, a JSON array or Parquet');
  const names = (await readdir(real)).filter((name) => isDataName(name) && !name.startsWith('.'));
  if (names.length === 0) throw problem(about, 'DATASET.EMPTY', 'the folder has no data files', 'Name a folder with .jsonl, .json or .parquet files, plain, .gz or .zst; folders in it are not looked into');
  return open(names.map((name) => ({ name, path: join(path, name) })), about, roots);
}

const resolve = (path: string, about: About, roots: readonly string[]): ReturnType<typeof resolveAllowed> => resolveAllowed(path, { roots, field: about.field }, datasetPathErrors);

/** A name may hold a bracket and be no pattern. */
async function exists(path: string, about: About, roots: readonly string[]): Promise<boolean> {
  return resolve(path, about, roots).then(() => true, () => false);
}

async function matches(pattern: string, about: About, roots: readonly string[]): Promise<readonly DataFile[]> {
  const parts = pattern.split('/');
  const fixed = parts.findIndex(hasWildcard);
  const base = parts.slice(0, fixed).join('/') || (pattern.startsWith('/') ? '/' : '.');
  const rest = parts.slice(fixed);
  if (rest.includes('..')) throw problem(about, 'DATASET.NOT_ALLOWED', 'its pattern goes up again behind a wildcard', 'Write the pattern without ..');
  // The folder is checked before the search: a pattern must not tell what exists elsewhere.
  const { real } = await resolve(base, about, roots);
  const names: string[] = [];
  for await (const name of glob(rest.join('/'), { cwd: real })) {
    if (names.push(name) > maxFiles) throw problem(about, 'DATASET.UNREADABLE', `its pattern matches more than ${String(maxFiles)} files`, 'Write a narrower pattern');
  }
  const files = await open(names.map((name) => ({ name, path: join(real, name) })), about, roots);
  if (files.length === 0) throw problem(about, 'DATASET.NOT_FOUND', 'no file matches its pattern', 'Check the pattern; the path is one of the machine that runs the service');
  return files;
}

/** Folders that a pattern matches are no files. */
async function open(found: readonly { readonly name: string; readonly path: string }[], about: About, roots: readonly string[]): Promise<readonly DataFile[]> {
  const files: DataFile[] = [];
  for (const { name, path } of found.toSorted(byName)) {
    const { real, stats } = await resolve(path, about, roots);
    if (stats.isFile()) files.push({ name, bytes: stats.size, locate: () => Promise.resolve(real) });
  }
  return files;
}
