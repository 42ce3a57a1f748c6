import { setUses } from '@sgpo/core';
import type { DatasetSource, ModelSource, Problem, RunSpec } from '@sgpo/core';
import { problem } from './problems.ts';

/** Exactly one place to take weights from; `artifact` beside `from` is what the service filled in. */
export function modelConflicts(field: string, { path, artifact, from }: ModelSource): Problem[] {
  const fix = `Give ${field}.path (a folder), ${field}.artifact (a digest) or ${field}.from (a finished run)`;
  if (path === null && artifact === null && from === null) return [problem(field, undefined, `${field} names no weights`, fix)];
  if (path !== null && (artifact !== null || from !== null)) return [problem(`${field}.path`, path, `${field} names weights twice: path, and ${artifact === null ? 'from' : 'artifact'}`, fix)];
  return [];
}

const setNames = ['sft', 'improver', 'policy', 'preferences', 'heldOut'] as const;

/** Each set the recipe reads is given, no other is, and each comes from one place. */
export function dataConflicts(spec: RunSpec): Problem[] {
  const { data, recipe } = spec;
  const uses = setUses(recipe);
  const found: Problem[] = [];
  for (const name of setNames) {
    const field = `data.${name}`;
    const source = data[name];
    if (source === null) {
      // That Step 0 is all there is, and has no rows, is told with the recipe.
      if (name !== 'sft' && uses[name] === 'needed') found.push(problem(field, null, `${field} is missing: this recipe reads it`, `Give ${field}, such as {"path": "rows.jsonl"}`));
      continue;
    }
    if (uses[name] === 'unused') found.push(problem(field, undefined, `${field} does nothing: no step of this recipe reads it`, 'Remove it'));
    found.push(...sourceConflicts(field, source));
  }
  return [...found, ...sameRows(spec)];
}

export function sourceConflicts(field: string, source: DatasetSource): Problem[] {
  const { path, hub, dataset } = source;
  const given = Object.entries({ path, hub, dataset }).flatMap(([name, value]) => (value === null ? [] : [name]));
  const fix = `Give one of ${field}.path, ${field}.hub and ${field}.dataset`;
  if (given.length === 0) return [problem(field, undefined, `${field} names no rows`, fix)];
  if (given.length > 1) return [problem(field, undefined, `${field} names rows more than once: ${given.join(' and ')}`, fix)];
  return dataset === null ? [] : registeredConflicts(field, source);
}

/** How the rows of a registered set are read was settled when it was registered. */
function registeredConflicts(field: string, { format, columns, malformed, dropFlagged }: DatasetSource): Problem[] {
  const given = Object.entries({ format: format !== 'auto', columns: columns !== null, malformed: malformed !== 'drop', dropFlagged: dropFlagged.length > 0 }).flatMap(([name, is]) => (is ? [name] : []));
  return given.map((name) => problem(`${field}.${name}`, undefined, `${field}.${name} does nothing: the rows of a registered data set are read as it was registered`, `Remove it, or register the rows again with source.${name}`));
}

/** Rows whose prompt is in another set are dropped: the first rows of one file would all go. */
function sameRows({ data: { improver, policy, preferences, heldOut, heldOutOverlap } }: RunSpec): Problem[] {
  const found: Problem[] = [];
  const compare = (name: string, source: DatasetSource | null, other: string, against: DatasetSource | null): void => {
    if (source === null || against === null || !hasNoOther(source, against)) return;
    found.push(problem(`data.${name}`, undefined, `data.${name} has only rows that data.${other} has too; their prompts are dropped from it, so no row would be left`, `Give data.${name} another file`));
  };
  compare('policy', policy, 'improver', improver);
  if (heldOutOverlap === 'keep') return found;
  for (const [name, source] of [['improver', improver], ['policy', policy], ['preferences', preferences]] as const) compare(name, source, 'heldOut', heldOut);
  return found;
}

/** True when the rows of `source` are first rows of the same place, read alike, and no more of them. */
function hasNoOther(source: DatasetSource, against: DatasetSource): boolean {
  const place = ({ path, hub, dataset, columns }: DatasetSource): string => JSON.stringify([path, hub, dataset, columns]);
  return place(source) === place(against) && (against.limit === null || (source.limit !== null && source.limit <= against.limit));
}
