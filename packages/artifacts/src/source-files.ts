/** A file of a data set. `name` tells it from the others; `locate` gives a path to read it at, and downloads it first where it is elsewhere. */
export interface DataFile { readonly name: string; readonly bytes: number; readonly locate: () => Promise<string> }

/** The files of a data set in the order they are read. `commit`: of the hub. */
export interface SourceFiles { readonly files: readonly DataFile[]; readonly commit: string | null }

const dataName = /\.(?:jsonl|ndjson|json|parquet)(?:\.gz|\.zst)?$/i;

/** True for names that files of rows have; folders hold other files too. */
export const isDataName = (name: string): boolean => dataName.test(name);

/** Files beyond this many are a mistake in a pattern. */
export const maxFiles = 10_000;

/** Sorts by name, by code unit: the same on every machine. */
export const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** True for names with wildcards. */
export const hasWildcard = (path: string): boolean => /[*?[{]/.test(path);
