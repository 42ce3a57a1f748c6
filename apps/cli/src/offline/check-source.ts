import type { DatasetSource, RowFormat, RowSpace } from '@sgpo/core';
import { CliError, exitCodes } from '../cli-error.ts';
import { absolutePath } from '../spec-file.ts';

export const checkUses = ['improver', 'policy', 'sft', 'preference'] as const;
/** How rows are read: as those of D_imp, D_pol, Step 0 or a given preference set. */
export type CheckUse = (typeof checkUses)[number];

export const spaceOf: Readonly<Record<CheckUse, RowSpace>> = { improver: 'improver', policy: 'policy', sft: 'sft', preference: 'preferences' };

export interface SourceOptions { readonly columns?: Readonly<Record<string, string>>; readonly format?: RowFormat; readonly userFolder: string; readonly hubToken: boolean }

/** hub:owner/name, then @revision and :split where they are given. */
const hubPattern = /^hub:([^@:]+)(?:@([^:]+))?(?::([^:]+))?$/;

/** The source that a PATH of the command line names. Throws CliError for a hub address that is none. */
export function sourceOf(path: string, { columns, format, userFolder, hubToken }: SourceOptions): DatasetSource {
  const rest = { dataset: null, limit: null, format: format ?? 'auto', columns: columns ?? null, malformed: 'drop', dropFlagged: [], sha256: null } as const;
  if (!path.startsWith('hub:')) return { path: absolutePath(path, userFolder), hub: null, ...rest };
  const [, repo = '', revision = 'main', split = 'train'] = hubPattern.exec(path) ?? [];
  if (repo === '') throw new CliError(`${path} names no data set of the hub`, 'write hub:owner/name, hub:owner/name@revision or hub:owner/name@revision:split', { exitCode: exitCodes.usage });
  return { path: null, hub: { repo, revision, config: null, split, token: hubToken ? 'env:HF_TOKEN' : null }, ...rest };
}

/** The use that a format suggests; null: it depends on whether its conversations have several turns of the user. */
export function suggestUse(format: RowFormat): CheckUse | null {
  switch (format) {
    case 'preference-messages': case 'ultrafeedback': case 'helpsteer3': case 'tulu3-preference': return 'preference';
    case 'messages': case 'sharegpt': return null;
    case 'prompt-response': case 'instruction': return 'improver';
  }
}
