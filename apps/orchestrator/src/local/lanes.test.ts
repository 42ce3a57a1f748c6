import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createLanes } from './lanes.ts';

/** Work that the test ends by hand, and what has begun so far. */
function byHand() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    work: (item: string): Promise<void> => new Promise((resolve) => { begun.push(item); ends.set(item, resolve); }),
    end: async (item: string): Promise<void> => { ends.get(item)!(); await turn(); },
  };
}
const widths = { asks: 2, works: 1 };
const running = new AbortController().signal;

test('a lane holds as many as it is wide; what waits is taken in order when a place is free', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  const { begun, work, end } = byHand();
  const entered = ['a', 'b', 'c', 'd'].map((item) => lanes.enter('asks', item, 'one', work, running));
  expect(begun).toEqual(['a', 'b']);
  await Promise.all(entered.slice(2));
  await end('b');
  expect(begun).toEqual(['a', 'b', 'c']);
  await end('a');
  await end('c');
  await end('d');
  expect(begun).toEqual(['a', 'b', 'c', 'd']);
  await Promise.all(entered);
});

test('a full lane leaves the others free', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  const { begun, work, end } = byHand();
  const asks = ['a', 'b', 'c'].map((item) => lanes.enter('asks', item, 'one', work, running));
  const works = lanes.enter('works', 'w', 'one', work, running);
  expect(begun).toEqual(['a', 'b', 'w']);
  await end('w');
  await works;
  for (const item of ['a', 'b', 'c']) await end(item);
  await Promise.all(asks);
});

test('an item that is brought again while it waits is worked on once; after its end it may come again', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  const { begun, work, end } = byHand();
  const first = lanes.enter('works', 'a', 'one', work, running);
  await lanes.enter('works', 'b', 'one', work, running);
  await lanes.enter('works', 'b', 'one', work, running);
  await end('a');
  await end('b');
  await first;
  expect(begun).toEqual(['a', 'b']);
  const again = lanes.enter('works', 'b', 'one', work, running);
  await end('b');
  await again;
  expect(begun).toEqual(['a', 'b', 'b']);
});

test('after the stop nothing that waits is begun', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  const { begun, work, end } = byHand();
  const stop = new AbortController();
  const first = lanes.enter('works', 'a', 'one', work, stop.signal);
  await lanes.enter('works', 'b', 'one', work, stop.signal);
  stop.abort();
  await end('a');
  await first;
  expect(begun).toEqual(['a']);
});

test('a place is free again even when the work breaks its promise and rejects', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  await expect(lanes.enter('works', 'a', 'one', () => Promise.reject(new Error('no good')), running)).rejects.toThrow('no good');
  const { begun, work, end } = byHand();
  const next = lanes.enter('works', 'b', 'one', work, running);
  await end('b');
  await next;
  expect(begun).toEqual(['b']);
});

test('the many items of one owner let the few of another go first', async () => {
  const lanes = createLanes<keyof typeof widths, string, string>(widths);
  const { begun, work, end } = byHand();
  const entered = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1'].map((item) => lanes.enter('asks', item, item.charAt(0), work, running));
  for (let ended = 0; ended < begun.length; ended += 1) await end(begun[ended]!);
  await Promise.all(entered);
  expect(begun).toEqual(['a1', 'a2', 'b1', 'a3', 'c1', 'b2', 'a4']);
});
