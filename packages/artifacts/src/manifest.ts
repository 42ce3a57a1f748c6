import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SgpoError, isDigest, type Digest } from '@sgpo/core';

/** Name of the manifest inside an artifact's folder. It is never listed in itself. */
export const manifestName = 'manifest.json';

/** One file of an artifact: path relative to its folder with `/`, size in bytes, lower-case hex sha256. */
export interface ArtifactFile { readonly path: string; readonly bytes: number; readonly sha256: string }

/** A manifest, its canonical text and what follows from it. `digest` is the sha256 of `text`; `bytes` the sum over the files. */
export interface Manifest { readonly digest: Digest; readonly text: string; readonly files: readonly ArtifactFile[]; readonly bytes: number }

const sha256Pattern = /^[0-9a-f]{64}$/;
// U+FFFD is what a file name that is not UTF-8 turns into.
const forbiddenCharacters = /[\p{Cc}\ufffd]/u;

/**
 * Hashes every file below `dir` (streaming) and returns the manifest of the folder; a `manifest.json` at its top is left out.
 * Throws ARTIFACT.CORRUPT for links, devices, sockets and for paths an artifact may not hold.
 */
export async function buildManifest(dir: string): Promise<Manifest> {
  const files: ArtifactFile[] = [];
  for await (const path of walkFiles(dir, '')) {
    if (path !== manifestName) files.push({ path, ...await hashFile(join(dir, path)) });
  }
  files.sort(byCodePoint);
  return manifestOf(files);
}

/**
 * Reads a manifest and checks that it is canonical: key order, file order, no white space, sane paths.
 * Throws ARTIFACT.CORRUPT with the first thing that is wrong.
 */
export function parseManifest(text: string): Manifest {
  const manifest = manifestOf(filesOf(parseJson(text)));
  if (manifest.text !== text) throw corrupt('the manifest is not in canonical form (key order, file order, white space or a repeated path)');
  return manifest;
}

/** What forbids `path` in an artifact, or null. Paths are relative, use `/` and never leave the folder. */
function pathProblem(path: string): string | null {
  if (path === '') return 'is empty';
  if (forbiddenCharacters.test(path) || !path.isWellFormed()) return 'holds a control character or is not UTF-8';
  if (path.includes('\\')) return 'holds a backslash';
  if (path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')) return 'has an empty, "." or ".." segment';
  return null;
}

async function* walkFiles(root: string, prefix: string): AsyncGenerator<string> {
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    const problem = pathProblem(path);
    if (problem !== null) throw corrupt(`the path ${JSON.stringify(path)} ${problem}`);
    if (entry.isDirectory()) yield* walkFiles(root, path);
    else if (entry.isFile()) yield path;
    else throw corrupt(`${JSON.stringify(path)} is neither a regular file nor a folder`);
  }
}

async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const chunks: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: 1 << 20 });
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function manifestOf(files: readonly ArtifactFile[]): Manifest {
  const sorted = files.toSorted(byCodePoint).filter((file, at, all) => file.path !== all[at - 1]?.path);
  const text = JSON.stringify({ files: sorted.map(({ bytes, path, sha256 }) => ({ bytes, path, sha256 })) });
  const digest = createHash('sha256').update(text).digest('hex');
  if (!isDigest(digest)) throw new TypeError('sha256 gave no digest');
  return { digest, text, files: sorted, bytes: sorted.reduce((sum, file) => sum + file.bytes, 0) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw corrupt('the manifest is not JSON', cause);
  }
}

function filesOf(value: unknown): ArtifactFile[] {
  if (typeof value !== 'object' || value === null || !('files' in value) || !Array.isArray(value.files)) throw corrupt('the manifest has no list "files"');
  return value.files.map((file: unknown, index) => {
    const at = `files[${String(index)}]`;
    if (typeof file !== 'object' || file === null || !('path' in file) || !('bytes' in file) || !('sha256' in file)) throw corrupt(`${at} has not the keys bytes, path and sha256`);
    const { path, bytes, sha256 } = file;
    if (typeof path !== 'string' || path === manifestName) throw corrupt(`${at}.path is not the path of a file`);
    const problem = pathProblem(path);
    if (problem !== null) throw corrupt(`${at}.path ${problem}`);
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) throw corrupt(`${at}.bytes is not a size in bytes`);
    if (typeof sha256 !== 'string' || !sha256Pattern.test(sha256)) throw corrupt(`${at}.sha256 is not a sha256 in lower-case hex`);
    return { path, bytes, sha256 };
  });
}

// UTF-8 bytes sort by code point; JavaScript's own order is by UTF-16 unit and differs outside the basic plane.
const byCodePoint = (a: ArtifactFile, b: ArtifactFile): number => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path));

const corrupt = (what: string, cause?: unknown): SgpoError =>
  new SgpoError('ARTIFACT.CORRUPT', `Not a valid artifact: ${what}`, { remedy: 'Run the step that makes it again; regular files and folders alone belong in an artifact', cause });
