import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileRun } from './compile.ts';
import { expandStep, readyTasks } from './expand.ts';
import type { StepProgress, TaskProgress } from './expand.ts';
import { isShardwise, stepKinds } from './plan.ts';
import type { Plan } from './plan.ts';
import { presetNames } from './recipes.ts';
import { presetSpec, sampleSpec } from './testing/sample-spec.ts';

const plan = compileRun(sampleSpec());
const stepOf = (key: string, of: Plan = plan) => of.steps.find((step) => step.key === key)!;

describe('expandStep', () => {
  it('shards tile the rows in whole blocks, then one merge', () => {
    fc.assert(fc.property(fc.nat(5_000), fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 64 }), (rows, shardRows, blockRows) => {
      const tasks = expandStep(stepOf('generate-y0'), rows, { shardRows }, blockRows);
      const shards = tasks.slice(0, -1);
      expect(tasks.map(({ index }) => index)).toEqual(tasks.map((_, index) => index));
      let at = 0;
      for (const { role, posFrom, posTo, rowsTotal } of shards) {
        expect(role).toBe('shard');
        expect(posFrom).toBe(at);
        expect(at % blockRows).toBe(0);
        expect(rowsTotal).toBe(posTo! - posFrom!);
        expect(rowsTotal).toBeGreaterThan(0);
        at = posTo!;
      }
      expect(at).toBe(rows);
      if (rows > 0) expect(shards[0]?.rowsTotal).toBe(Math.min(blockRows, rows));
      for (const { rowsTotal } of shards.slice(1, -1)) expect(rowsTotal).toBe(Math.ceil(shardRows / blockRows) * blockRows);
      expect(tasks.at(-1)).toEqual({ index: shards.length, role: 'merge', location: 'local', posFrom: null, posTo: null, rowsTotal: rows });
    }));
  });
  it('runs shards where their kind runs', () => {
    expect(expandStep(stepOf('generate-y0'), 3, { shardRows: 8 }, 8)[0]?.location).toBe('worker');
    expect(expandStep(stepOf('teach-improved'), 3, { shardRows: 8 }, 8)[0]?.location).toBe('local');
  });
  it('refuses steps that are one task, and senseless sizes', () => {
    expect(() => expandStep(stepOf('filter'), 3, { shardRows: 8 }, 8)).toThrow(/"filter"/);
    expect(() => expandStep(stepOf('generate-y0'), 3, { shardRows: 0 }, 8)).toThrow(/shardRows is 0/);
    expect(() => expandStep(stepOf('generate-y0'), 1.5, { shardRows: 1 }, 8)).toThrow(/rowCount is 1.5/);
  });
});

/** A run in memory: whole steps have their task from the start, sharded ones when rows are known. */
function begin(of: Plan, rows: number, shardRows: number): Map<string, StepProgress & { tasks: TaskProgress[] }> {
  return new Map(of.steps.map((step) => [step.key, {
    key: step.key, state: 'running' as const,
    tasks: stepKinds[step.kind].sharded
      ? expandStep(step, rows, { shardRows }, 4).map((task) => ({ ...task, state: 'pending' as const }))
      : [{ index: 0, role: 'whole' as const, posFrom: null, posTo: null, state: 'pending' as const }],
  }]));
}

describe('readyTasks', () => {
  const finish = (state: ReturnType<typeof begin>, key: string, index: number): void => {
    const step = state.get(key)!;
    const tasks = step.tasks.map((task) => (task.index === index ? { ...task, state: 'succeeded' as const } : task));
    state.set(key, { ...step, tasks, state: tasks.every((task) => task.state === 'succeeded') ? 'succeeded' : 'running' });
  };
  const keys = (state: ReturnType<typeof begin>) => readyTasks(plan, [...state.values()]).map(({ key, index }) => `${key}/${String(index)}`);

  it('starts with the steps that need nothing', () => {
    expect(keys(begin(plan, 16, 8))).toEqual(['ingest-heldout/0', 'import-model/0']);
  });
  it('lets shard n go on when shard n of the step before is done', () => {
    const state = begin(plan, 16, 8);
    for (const key of ['import-model', 'ingest-improver', 'ingest-policy', 'ingest-heldout']) finish(state, key, 0);
    expect(keys(state)).toEqual(expect.arrayContaining(['generate-y0/0', 'generate-y0/1', 'generate-y0/2']));
    expect(keys(state)).not.toContain('generate-y0/3');
    expect(keys(state)).not.toContain('teach-improved/0');
    finish(state, 'generate-y0', 1);
    expect(keys(state)).toContain('teach-improved/1');
    expect(keys(state)).not.toContain('teach-improved/0');
    finish(state, 'generate-y0', 0);
    expect(keys(state)).toContain('teach-improved/0');
    expect(keys(state)).not.toContain('generate-y0/3');
    finish(state, 'generate-y0', 2);
    expect(keys(state)).toContain('generate-y0/3');
  });
  it('waits for the whole output where rows are not its own', () => {
    const state = begin(plan, 16, 8);
    for (const key of ['import-model', 'ingest-improver']) finish(state, key, 0);
    for (const key of ['generate-y0', 'teach-external', 'score-external', 'teach-improved', 'score-improved']) {
      expect(keys(state)).not.toContain('filter/0');
      for (const index of [0, 1, 2, 3]) finish(state, key, index);
    }
    expect(keys(state)).toContain('filter/0');
  });
  it('takes nothing for granted about how a source was cut', () => {
    const state = begin(plan, 16, 8);
    for (const key of ['import-model', 'ingest-improver']) finish(state, key, 0);
    state.set('generate-y0', { key: 'generate-y0', state: 'running', tasks: [] });
    expect(keys(state)).not.toContain('teach-improved/0');
    state.set('generate-y0', { key: 'generate-y0', state: 'running', tasks: [{ index: 0, role: 'shard', posFrom: 0, posTo: 12, state: 'cached' }, { index: 1, role: 'shard', posFrom: 12, posTo: 16, state: 'running' }] });
    expect(keys(state)).toEqual(expect.arrayContaining(['teach-improved/0', 'teach-improved/1']));
    expect(keys(state)).not.toContain('teach-improved/2');
  });
  it('every preset runs to its end, whatever order its ready tasks finish in', () => {
    fc.assert(fc.property(fc.constantFrom(...presetNames), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 12 }), fc.infiniteStream(fc.nat(1_000)), (preset, rows, shardRows, choices) => {
      const of = compileRun(presetSpec(preset));
      const state = begin(of, rows, shardRows);
      const order: string[] = [];
      for (;;) {
        const ready = readyTasks(of, [...state.values()]);
        if (ready.length === 0) break;
        const [choice = 0] = choices.take(1);
        const { key, index } = ready[choice % ready.length]!;
        const step = stepOf(key, of);
        for (const source of state.get(key)?.tasks[index]?.role === 'merge' ? [] : Object.values(step.inputs)) {
          if (!isShardwise(step, stepOf(source, of))) expect(state.get(source)?.state).toBe('succeeded');
        }
        finish(state, key, index);
        order.push(key);
      }
      expect([...state.values()].every((step) => step.state === 'succeeded')).toBe(true);
      expect(order.at(-1)).toBe('report');
    }), { numRuns: 40 });
  });
});
