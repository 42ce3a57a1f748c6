import { expect, it } from 'vitest';
import { presetNames, presetOf, presets, trainsImprover, usesGivenPairs, usesPolicyData } from './recipes.ts';
import type { PresetName } from './recipes.ts';

it('every preset reads the sets its recipe needs', () => {
  const reads = (name: PresetName): string[] => {
    const { options } = presetOf(name);
    return [...(trainsImprover(options) ? ['improver'] : []), ...(usesPolicyData(options) ? ['policy'] : []), ...(usesGivenPairs(options) ? ['preferences'] : [])];
  };
  expect(Object.fromEntries(presetNames.map((name) => [name, reads(name)]))).toEqual({
    'sft': [], 'dpo': ['preferences'], 'spin': ['policy'], 'sgpo': ['improver', 'policy'], 'sgpo+step2': ['improver', 'policy'], 'sgpo-separate': ['improver', 'policy'],
    'sgpo-external': ['improver', 'policy'], 'sgpo-v2': ['improver', 'policy'], 'sgpo-offpolicy': ['improver', 'policy'], 'sgpo-all-ref': ['improver', 'policy'], 'sgpo-no-ref': ['improver', 'policy'],
  });
});

it('no two presets are the same point', () => {
  expect(new Set(presetNames.map((name) => JSON.stringify(presetOf(name).options))).size).toBe(presetNames.length);
});

it('a recipe without rounds reads neither policy data nor pairs', () => {
  expect(usesPolicyData({ ...presets.sgpo.options, rounds: 0 })).toBe(false);
  expect(usesGivenPairs({ ...presets.dpo.options, rounds: 0 })).toBe(false);
});

it('SPIN has the β of its paper, and each preset names its table', () => {
  expect(presetOf('spin').preference).toEqual({ beta: 0.1 });
  for (const name of presetNames) expect(presetOf(name).paper, name).toMatch(/Tables? \d|Step 0/);
});
