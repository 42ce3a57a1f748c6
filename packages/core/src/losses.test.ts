import { expect, it } from 'vitest';
import { lossNames, trainerNames, trainerTraits } from './losses.ts';

it('trainers that compare with a reference are DPO\'s and KTO\'s, and only DPO\'s sums losses', () => {
  expect(trainerNames.filter((name) => trainerTraits[name].reference)).toEqual(['dpo', 'kto']);
  expect(trainerNames.filter((name) => trainerTraits[name].combines)).toEqual(['dpo']);
});

it('names each loss once, whichever trainers have it', () => {
  expect(new Set(lossNames).size).toBe(lossNames.length);
  expect(lossNames).toEqual(expect.arrayContaining(['sigmoid', 'hinge', 'ipo', 'robust', 'apo_zero', 'apo_down', 'sft', 'simpo', 'orpo', 'kto']));
});
