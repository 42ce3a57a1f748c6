import { realpath, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { Stats } from 'node:fs';
import { SgpoError, type ErrorCode } from '@sgpo/core';
import { errnoOf, isAbsent } from './disk-errors.ts';

/** Where users' files may lie, and which field of the request named this one (e.g. `data.improver.path`). */
export interface AllowedPlace { readonly roots: readonly string[]; readonly field: string }

/** Codes and noun for the errors about one kind of path. */
export interface PathErrors { readonly noun: string; readonly notFound: ErrorCode; readonly notAllowed: ErrorCode; readonly unreadable: ErrorCode }

/** An error about one field of a request: what it held, what is wrong, what to do. */
export function fieldError(code: ErrorCode, field: string, value: string, message: string, fix: string, cause?: unknown): SgpoError {
  return new SgpoError(code, `${field}: ${message}`, { remedy: fix, problems: [{ field, value, message, fix }], cause });
}

/**
 * Follows links and returns the real path with its stats. The path as given and the path in the end must both lie in `roots`:
 * so neither a link leads out of them, nor does the answer tell what exists elsewhere. Relative paths start at the working folder.
 */
export async function resolveAllowed(path: string, { roots, field }: AllowedPlace, errors: PathErrors): Promise<{ readonly real: string; readonly stats: Stats }> {
  const notAllowed = (): SgpoError => fieldError(errors.notAllowed, field, path, `${JSON.stringify(path)} lies outside the allowed folders`,
    roots.length === 0 ? 'No folder is allowed: ask whoever runs the service to allow one' : `Put the ${errors.noun} into one of: ${roots.join(', ')}; or have its folder allowed`);
  const notFound = (cause?: unknown): SgpoError => fieldError(errors.notFound, field, path, `there is no ${errors.noun} at ${JSON.stringify(path)}`, 'Check the spelling; the path is one of the machine that runs the service', cause);
  if (path === '' || path.includes('\0')) throw notFound();
  const absolute = resolve(path);
  const realRoots = await realPaths(roots);
  if (![...roots.map((root) => resolve(root)), ...realRoots].some((root) => isInside(absolute, root))) throw notAllowed();
  try {
    const real = await realpath(absolute);
    if (!realRoots.some((root) => isInside(real, root))) throw notAllowed();
    return { real, stats: await stat(real) };
  } catch (error) {
    if (isAbsent(error) || errnoOf(error) === 'ENAMETOOLONG') throw notFound(error);
    throw asUnreadable(error, path, field, errors);
  }
}

/** Turns a file system error about a user's file into the `unreadable` error; others are returned as they are. */
export function asUnreadable(error: unknown, path: string, field: string, errors: PathErrors): unknown {
  const errno = errnoOf(error);
  return errno === null ? error : fieldError(errors.unreadable, field, path, `the ${errors.noun} cannot be read (${errno})`, 'Check that the account of the service may read it', error);
}

async function realPaths(roots: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const root of roots) {
    try {
      found.push(await realpath(root));
    } catch (error) {
      // A folder that does not exist allows nothing.
      if (errnoOf(error) === null) throw error;
    }
  }
  return found;
}

const isInside = (path: string, root: string): boolean => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
