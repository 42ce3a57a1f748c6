import { SgpoError } from '@sgpo/core';

// Network calls fail with an errno too; they are never the store's.
const networkCodes = /^(EAI_|EADDR|ECONN|EHOST|ENET|ENOTFOUND|EPIPE)/;
const networkCalls = ['connect', 'getaddrinfo', 'listen', 'bind'];

/** The errno name of a file system error (`ENOENT`, …), or null for anything else. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return null;
  const { code, syscall } = error;
  if (typeof code !== 'string' || typeof syscall !== 'string' || networkCalls.includes(syscall) || networkCodes.test(code)) return null;
  return code;
}

/** True for the ways in which "there is no such file" is said. */
export const isAbsent = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '');

/** STORE.FULL: no room left under the store or for temporary files. */
export const storeFull = (cause: unknown): SgpoError =>
  new SgpoError('STORE.FULL', 'No space is left on the disk of the artifact store', { remedy: 'Free disk space or raise the quota of the store folder, then retry', cause });

/** Turns a file system error into STORE.FULL or STORE.UNAVAILABLE; everything else is returned as it is. */
function asStoreError(error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === null) return error;
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return storeFull(error);
  return new SgpoError('STORE.UNAVAILABLE', `The artifact store answers ${errno}`, {
    remedy: 'Check that the store folder is mounted, and that this process may read and write it', cause: error,
  });
}

/** Runs `action` with file system errors turned into STORE.* errors. */
export async function onStore<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw asStoreError(error);
  }
}
