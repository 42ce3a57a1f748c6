import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Digest, RunId, TaskId, WorkerId } from './ids.ts';
import { place } from './placement.ts';
import type { OpenWorker, WaitingTask } from './placement.ts';

const task = (id: string, run: string, model: string | null, position: number, at = 0, index = 0, preview = false): WaitingTask =>
  ({ id: id as TaskId, runId: run as RunId, model: model as Digest | null, position, index, createdAt: new Date(at), preview });
const worker = (id: string, warmModel: string | null, freeSlots: number[]): OpenWorker => ({ id: id as WorkerId, warmModel: warmModel as Digest | null, freeSlots });
const short = (tasks: WaitingTask[], workers: OpenWorker[]) => place(tasks, workers).map(({ taskId, workerId, slot }) => `${taskId}@${workerId}/${String(slot)}`);

describe('place', () => {
  it('serves older runs first, then plan order, then index', () => {
    const tasks = [task('d', 'new', null, 0, 5), task('c', 'old', null, 2, 9, 1), task('b', 'old', null, 2, 1), task('a', 'old', null, 1, 9)];
    expect(short(tasks, [worker('w', null, [0, 1, 2])])).toEqual(['a@w/0', 'b@w/1', 'c@w/2']);
  });
  it('serves a preview before runs that are older', () => {
    expect(short([task('a', 'old', 'm', 0), task('b', 'preview', 'x', 3, 9, 0, true)], [worker('w', 'm', [0])])).toEqual(['b@w/0']);
  });
  it('prefers the worker that is warm for the model', () => {
    expect(short([task('a', 'r', 'm', 0)], [worker('v', null, [0]), worker('w', 'm', [3])])).toEqual(['a@w/3']);
  });
  it('prefers a task of the run that a worker is warm for to an earlier one', () => {
    expect(short([task('a', 'r', 'x', 0), task('b', 'r', 'm', 1)], [worker('w', 'm', [0])])).toEqual(['b@w/0']);
  });
  it('does not let a warm task of a newer run pass an older run', () => {
    expect(short([task('a', 'old', 'x', 0, 0), task('b', 'new', 'm', 0, 9)], [worker('w', 'm', [0])])).toEqual(['a@w/0']);
  });
  it('leaves warm weights to those who want them', () => {
    expect(short([task('a', 'old', 'x', 0, 0), task('b', 'new', 'm', 0, 9)], [worker('v', 'm', [0]), worker('w', 'y', [0])])).toEqual(['a@w/0', 'b@v/0']);
  });
  it('places nothing without tasks or slots', () => {
    expect(short([], [worker('w', null, [0])])).toEqual([]);
    expect(short([task('a', 'r', null, 0)], [worker('w', null, [])])).toEqual([]);
  });

  const model = fc.constantFrom('m', 'n', 'o', null);
  const tasks = fc.uniqueArray(fc.record({ id: fc.integer({ min: 0, max: 40 }), run: fc.integer({ min: 0, max: 3 }), model, position: fc.nat(5), at: fc.nat(3), index: fc.nat(4) }), { selector: ({ id }) => id, maxLength: 20 })
    .map((list) => list.map((t) => task(`t${String(t.id)}`, `r${String(t.run)}`, t.model, t.position, t.at, t.index)));
  const workers = fc.uniqueArray(fc.record({ id: fc.integer({ min: 0, max: 9 }), warm: model, slots: fc.uniqueArray(fc.nat(4)) }), { selector: ({ id }) => id, maxLength: 6 })
    .map((list) => list.map((w) => worker(`w${String(w.id)}`, w.warm, w.slots)));

  it('uses no slot and no task twice, and leaves no slot free while a task waits', () => {
    fc.assert(fc.property(tasks, workers, (waiting, open) => {
      const placed = place(waiting, open);
      const slots = open.reduce((sum, { freeSlots }) => sum + freeSlots.length, 0);
      expect(new Set(placed.map(({ taskId }) => taskId)).size).toBe(placed.length);
      expect(new Set(placed.map(({ workerId, slot }) => `${workerId} ${String(slot)}`)).size).toBe(placed.length);
      expect(placed).toHaveLength(Math.min(slots, waiting.length));
      for (const { workerId, slot } of placed) expect(open.find(({ id }) => id === workerId)?.freeSlots).toContain(slot);
    }));
  });
  it('does not depend on the order of its inputs', () => {
    fc.assert(fc.property(tasks, workers, (waiting, open) => {
      expect(place(waiting.toReversed(), open.toReversed())).toEqual(place(waiting, open));
    }));
  });
  it('gives no newer run a slot while an older one waits', () => {
    fc.assert(fc.property(tasks, workers, (waiting, open) => {
      const placed = new Set(place(waiting, open).map(({ taskId }) => taskId));
      const born = (run: string) => Math.min(...waiting.filter(({ runId }) => runId === run).map(({ createdAt }) => createdAt.getTime()));
      for (const left of waiting.filter(({ id }) => !placed.has(id))) {
        for (const taken of waiting.filter(({ id }) => placed.has(id))) expect(born(taken.runId)).toBeLessThanOrEqual(born(left.runId));
      }
    }));
  });
});
