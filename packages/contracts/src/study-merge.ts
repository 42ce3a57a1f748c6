import { presetNames, presetOf, setUses, trainsImprover } from '@sgpo/core';
import type { RecipeOptions } from '@sgpo/core';

/** A part of a spec before it is checked. */
export type Part = Readonly<Record<string, unknown>>;

const isPart = (value: unknown): value is Part => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keys of sources that say where rows or weights are; `sha256` speaks of the bytes of one place. */
const places = ['path', 'hub', 'dataset', 'artifact', 'from'];

/**
 * `changes` over `base`, section by section: objects are merged, everything else is replaced. A change that names a place takes that of the base away,
 * for rows and weights come from one place.
 */
export function mergeParts(base: Part, changes: Part): Part {
  const moved = places.some((name) => isGiven(changes[name]));
  const merged: Record<string, unknown> = Object.fromEntries(Object.entries(base).filter(([name]) => !moved || Object.hasOwn(changes, name) || !(places.includes(name) || name === 'sha256')));
  for (const [name, value] of Object.entries(changes)) {
    const before = Object.hasOwn(merged, name) ? merged[name] : undefined;
    merged[name] = isPart(value) && isPart(before) ? mergeParts(before, value) : value;
  }
  return merged;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/**
 * Leaves out what the recipe of `spec` does not read: data sets, and the teacher. So one base serves presets that read different sets; what `own`
 * gives itself stays, to be refused like in any spec. A spec of no known preset stays as it is.
 */
export function withoutUnread(spec: Part, own: Part): Part {
  const preset = presetNames.find((name) => name === spec['preset']);
  if (preset === undefined) return spec;
  // Not checked yet: options with wrong values read as something, and are refused afterwards.
  const recipe = { ...presetOf(preset).options, ...(isPart(spec['recipe']) ? spec['recipe'] : {}) } as RecipeOptions;
  const uses: Readonly<Record<string, string>> = setUses(recipe);
  const ownData = isPart(own['data']) ? own['data'] : {};
  const { data, teacher, ...rest } = spec;
  return {
    ...rest,
    ...(isPart(data) ? { data: Object.fromEntries(Object.entries(data).filter(([name]) => uses[name] !== 'unused' || isGiven(ownData[name]))) } : data === undefined ? {} : { data }),
    ...(teacher === undefined || (!trainsImprover(recipe) && !isGiven(own['teacher'])) ? {} : { teacher }),
  };
}
