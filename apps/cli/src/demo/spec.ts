import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { RunSpecBody } from '@sgpo/contracts';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { CliError, hasCode } from '../cli-error.ts';
import { checkout } from '../config.ts';

export interface SpecChanges {
  readonly seed?: number;
  readonly preset?: string;
  readonly shardRows?: number;
  /** false: everything is done again. */
  readonly cache: boolean;
}

/** What the demo's stack offers to a spec that names nothing of its own. */
export interface DemoParts {
  readonly modelPath: string;
  readonly teacher: { readonly baseUrl: string; readonly model: string };
  /** Relative paths start here, or else in the checkout. */
  readonly userFolder: string;
}

const section = z.record(z.string(), z.unknown());
/** Only what is filled in here; the API checks the whole. */
const documentSchema = z.looseObject({
  model: section.optional(), teacher: section.optional(), data: z.record(z.string(), section.nullable()).optional(), execution: section.optional(),
});
export type SpecDocument = z.infer<typeof documentSchema>;

export const demoSpecFile = join(checkout, 'examples/demo.yaml');

/** Throws CliError naming the file when it cannot be read, or is no mapping in YAML or JSON. */
export function readSpecFile(file: string): SpecDocument {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(`The spec ${file} ${hasCode(error, 'ENOENT') ? 'does not exist' : `cannot be read: ${String(error)}`}`, 'give the path of a run spec, such as examples/demo.yaml', { cause: error });
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new CliError(`The spec ${file} is not YAML: ${error.message}`, 'correct that line', { cause: error });
  }
  const document = documentSchema.safeParse(value);
  if (!document.success) {
    throw new CliError(`The spec ${file}: ${document.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`, 'write it as examples/demo.yaml is written');
  }
  return document.data;
}

/**
 * The body of POST /v1/runs: model and teacher of the stack where `document` names none (or what `template`, the demo's own file, names as a
 * place-holder), absolute paths, and the changes that were asked for.
 */
export function fillSpec(document: SpecDocument, template: SpecDocument, parts: DemoParts, changes: SpecChanges): RunSpecBody {
  const names = (given: unknown, placeholder: unknown): boolean => given !== undefined && given !== placeholder;
  const model = names(document.model?.['path'], template.model?.['path']) ? absolute(document.model ?? {}, parts.userFolder) : { ...document.model, path: parts.modelPath };
  const teacher = names(document.teacher?.['baseUrl'], template.teacher?.['baseUrl']) ? document.teacher : { ...document.teacher, ...parts.teacher };
  const data = Object.entries(document.data ?? {}).map(([name, source]) => [name, source === null ? null : absolute(source, parts.userFolder)] as const);
  const execution = { ...document.execution, ...(changes.shardRows === undefined ? {} : { shardRows: changes.shardRows }), ...(changes.cache ? {} : { cache: false }) };
  // The API refuses what is not a spec, and says why: only here is it called one unseen.
  return {
    ...document, model, teacher, data: Object.fromEntries(data), execution,
    ...(changes.seed === undefined ? {} : { seed: changes.seed }), ...(changes.preset === undefined ? {} : { preset: changes.preset }),
  } as unknown as RunSpecBody;
}

function absolute(source: Readonly<Record<string, unknown>>, userFolder: string): Readonly<Record<string, unknown>> {
  const { path } = source;
  if (typeof path !== 'string') return source;
  const here = resolve(userFolder, path);
  return { ...source, path: existsSync(here) ? here : resolve(checkout, path) };
}

/** Equal for equal bodies. */
export const hashSpec = (body: RunSpecBody): string => createHash('sha256').update(JSON.stringify(body)).digest('hex');
