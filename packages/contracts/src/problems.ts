import type { Problem } from '@sgpo/core';
import { z } from 'zod';
import { closest } from './closest.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

interface ProblemContext {
  /** What was parsed: values are looked up here, because issues do not carry them. */
  readonly input: unknown;
  readonly schema: z.core.$ZodType;
  /** Fields whose value must not be repeated. */
  readonly secrets?: readonly string[];
  /** What the whole is called when the fault lies at its root. */
  readonly root: string;
}

/**
 * Turns zod's issues into problems a person can act on: field, value, what is wrong, what to write instead.
 * An unknown key is one problem of its own and names the key that was meant; its value is never repeated.
 */
export function problemsOf(issues: readonly Issue[], context: ProblemContext): Problem[] {
  return issues.flatMap((issue) => issue.code === 'unrecognized_keys' ? unknownKeys(issue.keys, issue.path, context) : [oneProblem(issue, context)]);
}

/** `a.b[0].c`, and `a["b c"]` where a key is no plain word. */
export function fieldOf(path: Path): string {
  return path.map((part, index) => {
    if (typeof part === 'number') return `[${String(part)}]`;
    const key = String(part);
    if (!/^[\w*-]+$/.test(key)) return `[${JSON.stringify(key)}]`;
    return index === 0 ? key : `.${key}`;
  }).join('');
}

/** Makes a problem; the value is left out when it is a secret, too long to show, or no scalar. */
export function problem(field: string, value: unknown, message: string, fix: string): Problem {
  return { field, ...(isShowable(value) ? { value } : {}), message, fix };
}

function oneProblem(issue: Issue, context: ProblemContext): Problem {
  const flat = flatten(issue);
  const field = fieldOf(flat.path);
  const value = valueAt(context.input, flat.path);
  const secret = context.secrets?.includes(field) ?? false;
  const { message, fix } = describe(flat, field === '' ? context.root : field, secret ? undefined : value, value === undefined);
  return problem(field === '' ? context.root : field, secret ? undefined : value, message, fix);
}

/** The fault of a union is that of the branch the value fits best: the one it was followed deepest into, or the first. */
function flatten(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  let best: Issue | undefined;
  for (const [inner] of issue.errors) {
    if (inner !== undefined && (best === undefined || inner.path.length > best.path.length)) best = inner;
  }
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function describe(issue: Issue, field: string, value: unknown, missing: boolean): { readonly message: string; readonly fix: string } {
  switch (issue.code) {
    case 'invalid_type': {
      const wanted = article(issue.expected);
      if (missing) return { message: `${field} is missing`, fix: `Give ${field}: ${wanted}` };
      const number = (issue.expected === 'number' || issue.expected === 'int') && typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
      return { message: `${field} must be ${wanted}, not ${nameOf(value)}`, fix: Number.isFinite(number) ? `Write ${String(number)} without quotes` : `Give ${wanted}` };
    }
    case 'too_small': return bound(field, value, issue.origin, issue.inclusive === true ? 'at least' : 'more than', issue.minimum);
    case 'too_big': return bound(field, value, issue.origin, issue.inclusive === true ? 'at most' : 'less than', issue.maximum);
    case 'invalid_value': {
      const names = issue.values.map(String);
      const meant = typeof value === 'string' ? closest(value, names) : null;
      if (missing) return { message: `${field} is missing`, fix: `Give one of: ${names.join(', ')}` };
      return { message: `${field} cannot be ${nameOf(value)}`, fix: meant === null ? `Give one of: ${names.join(', ')}` : `Did you mean ${meant}? Known: ${names.join(', ')}` };
    }
    case 'custom': {
      const fix: unknown = issue.params?.['fix'];
      return { message: `${field} ${issue.message}`, fix: typeof fix === 'string' ? fix : 'Correct the value' };
    }
    case 'invalid_format': return { message: `${field} is not in the form it needs`, fix: issue.message };
    case 'not_multiple_of': return { message: `${field} must be a multiple of ${String(issue.divisor)}`, fix: `Give a multiple of ${String(issue.divisor)}` };
    case 'unrecognized_keys': case 'invalid_union': case 'invalid_key': case 'invalid_element':
      return { message: `${field} is not valid`, fix: issue.message };
  }
}

function bound(field: string, value: unknown, origin: string, relation: string, limit: number | bigint): { readonly message: string; readonly fix: string } {
  const plural = limit === 1 || limit === 1n ? '' : 's';
  const unit = origin === 'string' ? ` character${plural}` : origin === 'array' ? (plural === '' ? ' entry' : ' entries') : '';
  const verb = unit === '' ? 'be' : 'have';
  const was = origin === 'string' && typeof value === 'string' ? ` (it has ${String(value.length)})` : origin === 'array' && Array.isArray(value) ? ` (it has ${String(value.length)})`
    : typeof value === 'number' ? ` (it is ${String(value)})` : '';
  return { message: `${field} must ${verb} ${relation} ${String(limit)}${unit}${was}`, fix: `Give ${relation} ${String(limit)}${unit}` };
}

function unknownKeys(keys: readonly string[], path: Path, context: ProblemContext): Problem[] {
  const known = keysAt(context.schema, path);
  const inside = path.length === 0 ? context.root : fieldOf(path);
  return keys.map((key) => {
    const shown = key.slice(0, 100);
    const meant = closest(key, known);
    const elsewhere = meant === null ? sectionsWith(context.schema, key) : [];
    const fix = meant !== null ? `Did you mean ${meant}?`
      : elsewhere.length > 0 ? `It is a key of ${elsewhere.join(' and ')}: move it there`
        : `Remove it. Known keys: ${known.join(', ')}`;
    return { field: fieldOf([...path, shown]), message: `${fieldOf([shown])} is not a key of ${inside}`, fix };
  });
}

/** Sections of the root object that know `key`. */
function sectionsWith(schema: z.core.$ZodType, key: string): string[] {
  return keysAt(schema, []).filter((section) => keysAt(schema, [section]).includes(key));
}

function keysAt(schema: z.core.$ZodType, path: Path): string[] {
  let at: z.core.$ZodType | undefined = unwrap(schema);
  for (const part of path) {
    if (at instanceof z.ZodObject) {
      const shape: Record<string, z.core.$ZodType> = at.shape;
      at = shape[String(part)];
    } else at = at instanceof z.ZodArray ? at.element : undefined;
    if (at === undefined) return [];
    at = unwrap(at);
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let at = schema;
  while (at instanceof z.ZodDefault || at instanceof z.ZodPrefault || at instanceof z.ZodOptional || at instanceof z.ZodNullable) at = at.unwrap();
  return at;
}

/** The value at `path` of something that came from outside; undefined where there is none. Inherited properties do not count. */
function valueAt(input: unknown, path: Path): unknown {
  let at = input;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}

const isShowable = (value: unknown): boolean => value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  || (typeof value === 'string' && value.length <= 200);

function nameOf(value: unknown): string {
  if (value === undefined) return 'what was given';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return value.length <= 80 ? `the text ${JSON.stringify(value)}` : 'a text';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return 'an object';
}

function article(expected: string): string {
  switch (expected) {
    case 'int': return 'a whole number';
    case 'number': return 'a number';
    case 'string': return 'a text';
    case 'boolean': return 'true or false';
    case 'array': return 'a list';
    case 'object': case 'record': return 'an object';
    default: return expected;
  }
}
