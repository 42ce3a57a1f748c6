import { compileRun, presetNames } from '@sgpo/core';
import { describe, expect, it } from 'vitest';
import { listRecipes, placeholderSpec } from './recipe-list.ts';
import { recipeListSchema } from './rest.ts';
import { parseRunSpec } from './run-spec.ts';

describe('the list of recipes', () => {
  it('has every preset, as the route answers it', () => {
    const recipes = listRecipes();
    expect(recipes.map(({ preset }) => preset)).toEqual(presetNames);
    expect(recipeListSchema.parse({ recipes })).toEqual({ recipes });
  });

  it.each(listRecipes())('$preset: its placeholder spec compiles, and gives what the preset needs, nothing more', ({ preset, needs }) => {
    const body = placeholderSpec(preset);
    expect(compileRun(parseRunSpec(body)).steps.at(-1)?.kind).toBe('report');
    const given = ['model', ...Object.keys(body.data ?? {}).map((name) => `data.${name}`), ...('teacher' in body ? ['teacher'] : [])];
    expect(given.toSorted()).toEqual(needs.toSorted());
    for (const field of needs) expect(() => parseRunSpec(without(body, field)), field).toThrow();
  });

  it('tells only defaults that the preset reads, and no placeholder among them', () => {
    const of = (name: string): Readonly<Record<string, unknown>> => listRecipes().find(({ preset }) => preset === name)!.defaults;
    expect(Object.keys(of('sft'))).toEqual(['data', 'sampling', 'evaluation', 'sftTraining', 'execution']);
    expect(of('sgpo')).toMatchObject({ improverTraining: { epochs: 3, learningRate: 2e-5 }, preference: { learningRate: 5e-7, beta: 0.01 }, filter: { factor: 1.5 } });
    expect(of('spin')).toMatchObject({ preference: { beta: 0.1 } });
    expect(of('dpo')).toMatchObject({ data: { scores: 'check' } });
    expect(JSON.stringify(listRecipes())).not.toMatch(/TEACHER|MODEL|_DATA|teacher\.example/);
  });
});

const without = (body: object, field: string): object => {
  const copy = structuredClone(body) as Record<string, Record<string, unknown>>;
  const [section = '', key] = field.split('.');
  if (key === undefined) delete copy[section];
  else delete copy[section]![key];
  return copy;
};
