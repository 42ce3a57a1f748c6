import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { CliError, exitCodes, hasCode } from './cli-error.ts';
import { checkout } from './config.ts';

/** A mapping of a spec file; the API checks what it holds. */
export type Section = Readonly<Record<string, unknown>>;

const section = z.record(z.string(), z.unknown());
/** Only what is filled in on the way; the API checks the whole. */
const documentSchema = z.looseObject({
  model: section.optional(), teacher: section.nullable().optional(), data: section.optional(), execution: section.optional(), base: section.optional(),
});
export type SpecDocument = z.infer<typeof documentSchema>;

/** True for the document of a study: it has a base, and a run spec has none. */
export const isStudy = (document: SpecDocument): boolean => document.base !== undefined;

/** Throws CliError naming the file when it cannot be read, or is no mapping in YAML or JSON. */
export function readSpecFile(file: string): SpecDocument {
  const document = documentSchema.safeParse(parseFile(file, readText(file)));
  if (!document.success) {
    throw new CliError(`The spec ${file}: ${document.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`, 'write it as examples/demo.yaml is written', { exitCode: exitCodes.usage });
  }
  return document.data;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError(`The spec ${file} ${hasCode(error, 'ENOENT') ? 'does not exist' : `cannot be read: ${String(error)}`}`, 'give the path of a run spec, such as examples/demo.yaml', { cause: error, exitCode: exitCodes.usage });
  }
}

function parseFile(file: string, text: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (error) {
    // Beside its own errors, the parser refuses documents whose aliases would grow without bound, with a ReferenceError.
    if (!(error instanceof YAMLParseError) && !(error instanceof ReferenceError)) throw error;
    throw new CliError(`The spec ${file} is not YAML: ${error.message}`, 'correct that line', { cause: error, exitCode: exitCodes.usage });
  }
}

const isRecord = (value: unknown): value is Section => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The document with the paths of its data sets and models made absolute, in a study those of its base, models and changes too. */
export function withAbsolutePaths(document: Section, userFolder: string): Section {
  const source = (value: unknown): unknown => (isRecord(value) && typeof value['path'] === 'string' ? { ...value, path: absolutePath(value['path'], userFolder) } : value);
  const each = (value: unknown, change: (entry: unknown) => unknown): unknown => (Array.isArray(value) ? value.map(change) : value);
  const change: Readonly<Record<string, (value: unknown) => unknown>> = {
    model: source,
    data: (data) => (isRecord(data) ? Object.fromEntries(Object.entries(data).map(([name, value]) => [name, source(value)])) : data),
    teacher: (teacher) => (isRecord(teacher) && 'weights' in teacher ? { ...teacher, weights: source(teacher['weights']) } : teacher),
    base: (base) => (isRecord(base) ? withAbsolutePaths(base, userFolder) : base),
    models: (models) => each(models, source),
    runs: (runs) => each(runs, (run) => (isRecord(run) && isRecord(run['changes']) ? { ...run, changes: withAbsolutePaths(run['changes'], userFolder) } : run)),
  };
  return Object.fromEntries(Object.entries(document).map(([name, value]) => [name, change[name]?.(value) ?? value]));
}

/** A path as the service needs it: from the user's folder, or from the checkout when it is there and not here. Addresses (s3://…) stay as they are. */
export function absolutePath(path: string, userFolder: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) return path;
  const [here, inCheckout] = [resolve(userFolder, path), resolve(checkout, path)];
  return !existsSync(firmPart(here)) && existsSync(firmPart(inCheckout)) ? inCheckout : here;
}

/** What must exist for a path with wildcards to name anything: its folders before the first of them. */
function firmPart(path: string): string {
  const at = path.search(/[*?[{]/);
  return at === -1 || existsSync(path) ? path : dirname(path.slice(0, at + 1));
}
