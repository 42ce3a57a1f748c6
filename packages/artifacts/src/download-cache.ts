import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent, onStore } from './disk-errors.ts';

/** A folder of downloaded files, each named by the hash of what it is and written by one rename: a reader never sees half of one. */
export interface DownloadCache {
  /** The path of the file that `identity` names; `write` fetches it when it is not there yet. Throws STORE.FULL, STORE.UNAVAILABLE, and what `write` throws. */
  get(identity: readonly string[], write: (path: string) => Promise<void>): Promise<string>;
}

export function createDownloadCache(folder: string): DownloadCache {
  return {
    get: (identity, write) => onStore(async () => {
      const path = join(folder, createHash('sha256').update(JSON.stringify(identity)).digest('hex'));
      if (await exists(path)) return path;
      await mkdir(folder, { recursive: true });
      const temporary = join(folder, `${randomUUID()}.part`);
      try {
        await write(temporary);
        await rename(temporary, path);
      } finally {
        await rm(temporary, { force: true });
      }
      return path;
    }),
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}
