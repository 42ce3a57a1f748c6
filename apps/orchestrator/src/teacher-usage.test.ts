import { expect, test } from 'vitest';
import type { TaskRow } from '@sgpo/database';
import { usageOfTasks } from './teacher-usage.ts';

const usage = { calls: 5, reused: 1, batches: 2, promptTokens: 100, completionTokens: 50, cost: 0.2 };
const shard = (state: TaskRow['state'], stats: Record<string, unknown> | null = usage, role: TaskRow['role'] = 'shard'): TaskRow => ({ role, state, stats }) as TaskRow;

test('the shards of a step are added up, its merge is not', () => {
  expect(usageOfTasks([shard('succeeded'), shard('succeeded'), shard('succeeded', {}, 'merge')])).toEqual({ calls: 10, reused: 2, batches: 4, promptTokens: 200, completionTokens: 100, cost: 0.4 });
});

test('what another run paid counts as reused here', () => {
  expect(usageOfTasks([shard('succeeded'), shard('cached')])).toEqual({ calls: 5, reused: 7, batches: 2, promptTokens: 100, completionTokens: 50, cost: 0.2 });
});

test('one unknown price makes the sum unknown', () => {
  expect(usageOfTasks([shard('succeeded'), shard('succeeded', { ...usage, cost: null })]).cost).toBeNull();
});

test('a shard from before there were batches had none', () => {
  const { batches: _none, ...before } = usage;
  expect(usageOfTasks([shard('succeeded', before), shard('succeeded')]).batches).toBe(2);
});
