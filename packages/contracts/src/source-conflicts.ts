import { priceOf, setUses, trainsImprover } from '@sgpo/core';
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

/** Policy rows whose prompt is in the improver set are dropped: the first rows of one file would all go. */
function sameRows({ data: { improver, policy } }: RunSpec): Problem[] {
  if (improver === null || policy === null) return [];
  const place = ({ path, hub, dataset }: DatasetSource): string => JSON.stringify([path, hub, dataset]);
  if (place(improver) !== place(policy) || (improver.limit !== null && (policy.limit === null || policy.limit > improver.limit))) return [];
  return [problem('data.policy', undefined, 'data.policy has only rows that data.improver has too; prompts of the improver set are dropped from the policy set, so no row would be left',
    'Give data.policy another file')];
}

/** A teacher where one is asked, of the fields its source has, and a price where a budget in currency needs one. */
export function teacherConflicts({ teacher, recipe }: RunSpec): Problem[] {
  if (teacher === null) {
    return trainsImprover(recipe) ? [problem('teacher', null, 'teacher is missing: this recipe trains an improver on its answers', 'Give teacher.baseUrl and teacher.model, or teacher.source: policy')] : [];
  }
  if (!trainsImprover(recipe)) return [problem('teacher', undefined, 'teacher does nothing: this recipe asks none', 'Remove it')];
  const found: Problem[] = [];
  const endpoint = teacher.source === 'endpoint';
  for (const [name, value] of [['baseUrl', teacher.baseUrl], ['model', teacher.model]] as const) {
    const field = `teacher.${name}`;
    if (endpoint && value === null) found.push(problem(field, null, `${field} is missing`, 'Give the address of an OpenAI-compatible API and its name of the model, or set teacher.source to fleet or policy'));
    if (!endpoint && value !== null) found.push(problem(field, undefined, `${field} does nothing: the source is ${teacher.source}`, 'Remove it, or set teacher.source to endpoint'));
  }
  if (teacher.source === 'fleet') {
    found.push(...(teacher.weights === null
      ? [problem('teacher.weights', null, 'teacher.weights is missing: the fleet needs a model to teach with', 'Give teacher.weights, such as {"path": "models/teacher"}')]
      : modelConflicts('teacher.weights', teacher.weights)));
  } else if (teacher.weights !== null) {
    found.push(problem('teacher.weights', undefined, `teacher.weights does nothing: the source is ${teacher.source}`, 'Remove it, or set teacher.source to fleet'));
  }
  if (!endpoint && (teacher.mode === 'batch' || teacher.budget.cost !== null || teacher.budget.tokens !== null)) {
    const field = teacher.mode === 'batch' ? 'teacher.mode' : 'teacher.budget';
    found.push(problem(field, undefined, `${field} belongs to an endpoint; the source is ${teacher.source}`, 'Remove it, or set teacher.source to endpoint'));
  }
  if (endpoint && teacher.budget.cost !== null && priceOf(teacher) === null) {
    found.push(problem('teacher.budget.cost', teacher.budget.cost, `teacher.budget.cost needs a price, and none is known for ${JSON.stringify(teacher.model)}`, 'Give teacher.price, or limit teacher.budget.tokens'));
  }
  return found;
}
