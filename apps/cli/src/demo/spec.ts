import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expandStudy, type RunSpecBody } from '@sgpo/contracts';
import { presetNames, presetOf, setUses, trainsImprover, type RecipeOptions, type RunSpec, type SetUse } from '@sgpo/core';
import { checkout } from '../config.ts';
import { withAbsolutePaths, type SpecDocument } from '../spec-file.ts';

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

export const demoSpecFile = join(checkout, 'examples/demo.yaml');

/** Sets of the demo for presets that need them; demo.yaml has the others. */
const demoSets: Readonly<Record<string, string>> = { sft: 'examples/data/conversations.jsonl', preferences: 'examples/data/policy.jsonl' };

/**
 * The body of POST /v1/runs: model and teacher of the stack where `document` names none (or what `template`, the demo's own file, names as a
 * place-holder), absolute paths, and the changes that were asked for. Another preset than that of `document` gets the sets it needs and not those
 * it does not read; throws SgpoError when that is no spec.
 */
export function fillSpec(document: SpecDocument, template: SpecDocument, parts: DemoParts, changes: SpecChanges): RunSpecBody | RunSpec {
  const preset = changes.preset ?? document['preset'];
  const filled = { ...document, ...fillModel(document, template, parts), ...fillTeacher(document, template, parts, preset) };
  const execution = { ...document.execution, ...(changes.shardRows === undefined ? {} : { shardRows: changes.shardRows }), ...(changes.cache ? {} : { cache: false }) };
  const changed = { ...filled, execution, ...(changes.seed === undefined ? {} : { seed: changes.seed }) };
  // The API refuses what is not a spec, and says why: only here is it called one unseen.
  if (changes.preset === undefined) return withAbsolutePaths(changed, parts.userFolder) as unknown as RunSpecBody;
  return ofPreset(changed, changes.preset, parts.userFolder);
}

/** A study of one run leaves out what its preset does not read. */
function ofPreset(document: SpecDocument, preset: string, userFolder: string): RunSpec {
  const known = presetNames.find((name) => name === preset);
  const uses: Readonly<Record<string, SetUse>> = known === undefined ? {} : setUses(presetOf(known).options);
  const missing = Object.entries(demoSets).flatMap(([set, path]) => (uses[set] === 'needed' ? [[set, { path }]] : []));
  const rest = Object.fromEntries(Object.entries(document).filter(([name]) => name !== 'preset'));
  const base = withAbsolutePaths({ ...rest, data: { ...Object.fromEntries(missing), ...document.data } }, userFolder);
  const [run] = expandStudy({ name: 'demo', base, presets: [preset] }).runs;
  if (run === undefined) throw new TypeError('a study of one preset has one run');
  return run.spec;
}

const names = (given: unknown, placeholder: unknown): boolean => given !== undefined && given !== placeholder;

function fillModel({ model }: SpecDocument, template: SpecDocument, parts: DemoParts): Pick<SpecDocument, 'model'> {
  if (names(model?.['path'], template.model?.['path']) || model?.['artifact'] !== undefined || model?.['from'] !== undefined) return { model };
  return { model: { ...model, path: parts.modelPath } };
}

/** A recipe that trains no improver asks no teacher; a source of its own needs no address. */
function fillTeacher({ teacher, ...document }: SpecDocument, template: SpecDocument, parts: DemoParts, preset: unknown): Pick<SpecDocument, 'teacher'> {
  if (names(teacher?.['source'], 'endpoint') || names(teacher?.['baseUrl'], template.teacher?.['baseUrl'])) return { teacher };
  if (teacher === null || teacher === undefined) {
    const known = presetNames.find((name) => name === preset);
    const recipe = known === undefined ? null : { ...presetOf(known).options, ...(document['recipe'] as Partial<RecipeOptions> | undefined) };
    if (recipe === null || !trainsImprover(recipe)) return teacher === undefined ? {} : { teacher };
  }
  return { teacher: { ...teacher, ...parts.teacher } };
}

/** Equal for equal bodies. */
export const hashSpec = (body: RunSpecBody | RunSpec): string => createHash('sha256').update(JSON.stringify(body)).digest('hex');
