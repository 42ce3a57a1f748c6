import { describe, expect, it } from 'vitest';
import { fractionOf, toMetrics } from './mappers.ts';

describe('fractionOf', () => {
  it('is 1 for a run that has succeeded, and for no other', () => {
    expect(fractionOf({ state: 'succeeded', tasksDone: 3, tasksTotal: 3 })).toBe(1);
    for (const state of ['queued', 'running', 'paused', 'canceling', 'failed', 'canceled'] as const) {
      expect(fractionOf({ state, tasksDone: 3, tasksTotal: 3 })).toBeLessThan(1);
      expect(fractionOf({ state, tasksDone: 1, tasksTotal: 4 })).toBe(0.25);
      expect(fractionOf({ state, tasksDone: 0, tasksTotal: 0 })).toBe(0);
    }
  });
});

describe('toMetrics', () => {
  it('makes a series of each name of each step, and null of what JSON cannot hold', () => {
    const row = (stepKey: string, name: string, step: number, value: number) => ({ stepKey, name, step, value });
    expect(toMetrics([row('a', 'loss', 1, 2), row('a', 'loss', 2, Number.NaN), row('a', 'norm', 1, Number.POSITIVE_INFINITY), row('b', 'norm', 1, 3)]).series).toEqual([
      { stepKey: 'a', name: 'loss', points: [{ step: 1, value: 2 }, { step: 2, value: null }] },
      { stepKey: 'a', name: 'norm', points: [{ step: 1, value: null }] },
      { stepKey: 'b', name: 'norm', points: [{ step: 1, value: 3 }] },
    ]);
  });
});
