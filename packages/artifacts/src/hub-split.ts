import { byName, isDataName } from './source-files.ts';

/** What a repository holds for a split, or why there is no telling. */
export type SplitFiles<File> = { readonly files: readonly File[] } | { readonly message: string; readonly fix: string };

/**
 * Files of one split, by name, as repositories lay them out: `data/train-00000-of-00002.parquet`, `train.jsonl`, `<config>/train-….parquet`,
 * `<config>/train/0000.parquet`. Parquet stands before JSON where both are there. Without a config, files in `data`, `default` or at the top
 * come first, and several other folders are a question back.
 */
export function filesOfSplit<File extends { readonly name: string }>(all: readonly File[], split: string, config: string | null): SplitFiles<File> {
  const data = all.filter(({ name }) => isDataName(name));
  const ofSplit = data.filter(({ name }) => splitOf(name).includes(split));
  const folders = new Map<string, File[]>();
  for (const file of ofSplit) folders.set(configOf(file.name, split), [...folders.get(configOf(file.name, split)) ?? [], file]);
  const chosen = config === null ? ['data', 'default', ''].find((name) => folders.has(name)) ?? (folders.size === 1 ? [...folders.keys()][0] : undefined) : config;
  const found = chosen === undefined ? undefined : folders.get(chosen) ?? (chosen === 'default' ? folders.get('data') ?? folders.get('') : undefined);
  if (found !== undefined) {
    const parquet = found.filter(({ name }) => name.toLowerCase().endsWith('.parquet'));
    return { files: (parquet.length > 0 ? parquet : found).toSorted(byName) };
  }
  if (config === null && folders.size > 1) return { message: `the repository has the split ${split} in several configs: ${list([...folders.keys()])}`, fix: 'Name one as hub.config' };
  const wanted = config === null ? `the split ${split}` : `the split ${split} of the config ${config}`;
  return { message: `the repository has no file of ${wanted}; it has ${data.length === 0 ? 'no data files' : list(data.map(({ name }) => name))}`, fix: 'Name one of its splits as hub.split, and its subset, if it has any, as hub.config' };
}

/** Names a file may give its split: that of its folder, and what its own name begins with. */
function splitOf(name: string): readonly string[] {
  const parts = name.split('/');
  const own = (parts.at(-1) ?? '').replace(/\..*$/, '');
  return [own, own.replace(/-.*$/, ''), own.replace(/-\d+(?:-of-\d+)?$/, ''), parts.at(-2) ?? ''];
}

/** The folder that stands for a config: that of the file, or the one above a folder named like the split. */
function configOf(name: string, split: string): string {
  const folders = name.split('/').slice(0, -1);
  return (folders.at(-1) === split ? folders.slice(0, -1) : folders).join('/');
}

const list = (names: readonly string[]): string => names.slice(0, 12).map((name) => (name === '' ? '(top)' : name)).join(', ') + (names.length > 12 ? ' …' : '');
