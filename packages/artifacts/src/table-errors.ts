import { SgpoError, type Digest } from '@sgpo/core';
import { storeFull } from './disk-errors.ts';

/** The one file of a table artifact. */
export const tableFile = 'rows.parquet';

const isDiskFull = (error: unknown): boolean => error instanceof Error && /no space left|max_temp_directory_size/i.test(error.message);
const isOutOfMemory = (error: unknown): boolean => error instanceof Error && error.message.startsWith('Out of Memory');

/** What DuckDB says while reading, as ours. Its own text stays in `cause`: it names paths and values. */
export function readError(error: unknown, sources: readonly Digest[]): unknown {
  if (error instanceof SgpoError || isOutOfMemory(error)) return error;
  if (isDiskFull(error)) return storeFull(error);
  return new SgpoError('ARTIFACT.CORRUPT', `A table cannot be read, or has not the columns asked for: ${listDigests(sources)}`, {
    remedy: 'Start the run again: what is damaged is made anew; check the disk of the store', cause: error,
  });
}

/** What DuckDB says while writing, as ours. */
export function writeError(error: unknown): unknown {
  if (isDiskFull(error)) return storeFull(error);
  if (error instanceof Error && error.message.startsWith('IO Error')) {
    return new SgpoError('STORE.UNAVAILABLE', 'A table cannot be written to the artifact store', { remedy: 'Check that the store folder is mounted and may be written', cause: error });
  }
  return error;
}

/** A table that the store does not have, as an error about tables. */
export function locateError(error: unknown, digest: Digest): unknown {
  if (!(error instanceof SgpoError)) return error;
  if (error.code === 'ARTIFACT.NOT_FOUND') return new SgpoError('ARTIFACT.MISSING_FILES', `Table ${digest} is gone from the store`, { remedy: 'Start the run again: what is missing is made anew', cause: error });
  if (error.code === 'ARTIFACT.FILE_NOT_FOUND') return new SgpoError('ARTIFACT.CORRUPT', `Artifact ${digest} is not a table: it has no ${tableFile}`, { remedy: 'Name the digest of a table', cause: error });
  return error;
}

/** ARTIFACT.CORRUPT: a column that was asked for is not in the table. */
export const noColumn = (column: string, sources: readonly Digest[], available: readonly string[]): SgpoError =>
  new SgpoError('ARTIFACT.CORRUPT', `Table ${listDigests(sources)} has no column ${JSON.stringify(column)}; it has ${available.join(', ')}`, { remedy: 'Make the table anew with this version of the product' });

const listDigests = (sources: readonly Digest[]): string => sources.length > 3 ? `${sources.slice(0, 3).join(', ')} and ${String(sources.length - 3)} more` : sources.join(', ');
