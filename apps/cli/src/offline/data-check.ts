import { join } from 'node:path';
import { checkDataset, openIngest, type DataCheck, type DatasetAccess, type DatasetIngest, type IngestRequest } from '@sgpo/artifacts';
import { createIdSet, explainDropReason, SgpoError, type DatasetSource, type IdSet, type RowFormat } from '@sgpo/core';
import { exitCodes } from '../cli-error.ts';
import type { CliConfig } from '../config.ts';
import { explain } from '../explain.ts';
import { formatTable } from '../text-table.ts';
import { sourceOf, spaceOf, suggestUse, type CheckUse } from './check-source.ts';
import { writeJson, writeLines } from './write.ts';

export interface CheckOptions {
  readonly path: string;
  readonly as?: CheckUse;
  readonly columns?: Readonly<Record<string, string>>;
  readonly format?: RowFormat;
  readonly scores: 'check' | 'ignore';
  /** Path of the evaluation set whose prompts are dropped, as a run drops them. */
  readonly heldOut?: string;
  readonly json: boolean;
}

/** What the command prints as JSON for a set that can be read. `error` is there when no row of it is usable. */
type CheckResult = Omit<DataCheck, 'sample'> & { readonly as: CheckUse; readonly error?: CheckFailure };
/** Why a set cannot be used as a whole. `place`: the path, or the part of it that is at fault. */
interface CheckFailure { readonly code: string; readonly message: string; readonly fix: string; readonly place: string }

/** Reads a set as a run would and tells what it would keep and drop. Exit code 0 when it is usable, 2 when it is not as a whole. */
export async function runDataCheck(config: CliConfig, options: CheckOptions): Promise<number> {
  try {
    const result = await checkPath(config, options);
    if (options.json) writeJson(result);
    else writeLines(formatCheck(options.path, result));
    return result.error === undefined ? exitCodes.ok : exitCodes.usage;
  } catch (error) {
    const failure = failureOf(error, options.path);
    if (options.json) writeJson({ error: failure });
    else writeLines([`${options.path} cannot be used: ${failure.message} (${failure.code})`, `fix:  ${failure.fix}`]);
    return failure.code === faultOfOurs ? exitCodes.failed : exitCodes.usage;
  }
}

/** What the set would give. Throws CliError for a path that is none, SgpoError when the set cannot be read. */
export async function checkPath(config: Pick<CliConfig, 'home' | 'userFolder'>, { path, as, columns, format, scores, heldOut }: Omit<CheckOptions, 'json'>): Promise<CheckResult> {
  const place = { userFolder: config.userFolder, hubToken: (process.env['HF_TOKEN'] ?? '') !== '' };
  const source = sourceOf(path, { ...(columns === undefined ? {} : { columns }), ...(format === undefined ? {} : { format }), ...place });
  // Whoever calls the command may read whatever the command may.
  const access: DatasetAccess = { roots: ['/'], field: '', environment: process.env, cacheFolder: join(config.home, 'downloads') };
  const use = as ?? await findUse(source, access);
  const { sample: _, ...found } = await checkDataset({ ...requestOf(source, use, scores), against: heldOut === undefined ? {} : { heldOut: await promptsOf(sourceOf(heldOut, place), access) } }, access);
  return { as: use, ...found, ...(found.kept > 0 ? {} : { error: noRowLeft(found, path) }) };
}

const requestOf = (source: DatasetSource, use: CheckUse, scores: 'check' | 'ignore'): IngestRequest => ({ source, space: spaceOf[use], against: {}, heldOutOverlap: 'drop', scores });

/** Ids of the prompts of an evaluation set, read as a run reads it. */
async function promptsOf(source: DatasetSource, access: DatasetAccess): Promise<IdSet> {
  const ids = createIdSet();
  const ingest = await openIngest({ source, space: 'heldOut', scores: 'check' }, access);
  for await (const { row } of ingest.rows()) ids.add(row.id);
  return ids;
}

/** Told by the format; of conversations by the first one with several turns of the user: those are for Step 0. */
async function findUse(source: DatasetSource, access: DatasetAccess): Promise<CheckUse> {
  const ingest = await openIngest(requestOf(source, 'improver', 'ignore'), access);
  try {
    return suggestUse(ingest.layout.format) ?? (await hasSeveralTurns(ingest) ? 'sft' : 'improver');
  } finally {
    await ingest.close();
  }
}

async function hasSeveralTurns(ingest: DatasetIngest): Promise<boolean> {
  for await (const { row } of ingest.rows()) if ('prompt' in row && row.prompt.filter(({ role }) => role === 'user').length > 1) return true;
  return false;
}

function noRowLeft({ rows, dropped }: Pick<DataCheck, 'rows' | 'dropped'>, place: string): CheckFailure {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${String(count)} ${reason} (${explainDropReason(reason) ?? 'no meaning on record'})`);
  return { code: 'DATASET.NO_ROWS_LEFT', message: `None of its ${String(rows)} rows is usable: ${reasons.join(', ')}`, fix: 'Correct the rows, or name another file, format or use', place };
}

const faultOfOurs = 'SERVICE.INTERNAL';

function failureOf(error: unknown, path: string): CheckFailure {
  const told = explain(error);
  if (told === null) return { code: faultOfOurs, message: `Something failed inside: ${error instanceof Error ? error.message : String(error)}`, fix: 'Report it with the file that it failed on', place: path };
  const value = error instanceof SgpoError ? error.problems[0]?.value : null;
  return { code: told.code, message: told.message, fix: told.fix, place: typeof value === 'string' ? value : path };
}

function formatCheck(path: string, { as, format, container, schema, files, rows, kept, dropped, flagged, examples, warnings, error }: CheckResult): string[] {
  const counted = (counts: Readonly<Record<string, number>>): string[] =>
    formatTable(Object.entries(counts).map(([reason, count]) => [String(count), reason, explainDropReason(reason) ?? '']), { indent: '    ', right: (column) => column === 0 });
  const more = files.length > 1 ? `, ${String(files.length)} files` : '';
  return [
    `${path}, read as ${as}`, `  format   ${format} (${container}${more})`, `  columns  ${schema.map(({ name, type }) => `${name}: ${type}`).join(', ')}`,
    `  rows     ${String(rows)}: ${String(kept)} kept, ${String(rows - kept)} dropped`, ...counted(dropped),
    ...(Object.keys(flagged).length === 0 ? [] : ['  flagged and kept', ...counted(flagged)]),
    ...(examples.length === 0 ? [] : ['  for example', ...examples.map(({ row, file, reason, detail }) => `    ${file === undefined ? '' : `${file} `}row ${String(row)}: ${reason}: ${detail}`)]),
    ...warnings.map((warning) => `  warning: ${warning}`), ...(error === undefined ? ['  usable'] : [`  not usable: ${error.message} (${error.code})`, `  fix:  ${error.fix}`]),
  ];
}
