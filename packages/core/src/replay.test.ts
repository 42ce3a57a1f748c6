import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer, DataRow } from './answers.ts';
import { drawReplayed, replayCount, replayFault, replayRow } from './replay.ts';

const row: DataRow = { id: 'id1', prompt: [{ role: 'user', content: 'Capital of France?' }], response: 'The capital is Paris.' };
const answer = (text: string | null, rest: Partial<Answer> = {}): Answer => ({ text, finishReason: 'stop', dropReason: null, ...rest });

describe('replayFault', () => {
  it.each([
    [null, answer('Paris.')], [null, answer('The capital is Paris.')], ['replay_prompt_too_long', answer(null, { dropReason: 'prompt_too_long' })],
    ['replay_unfinished', answer('Par', { finishReason: 'length' })], ['replay_empty', answer(' ')], ['replay_refusal', answer('I cannot help with that.')],
  ] as const)('%s', (fault, draft) => { expect(replayFault({ row, draft })).toBe(fault); });
});

it('replayRow is the prompt as it is, and the policy\'s own answer word for word', () => {
  expect(replayRow({ row, draft: answer(' Paris.\n') })).toEqual({ id: 'id1', prompt: row.prompt, completion: [{ role: 'assistant', content: ' Paris.\n' }], unfinished: false });
});

describe('replayCount', () => {
  it('makes up the share of the final rows', () => {
    expect([replayCount(80, 0.2), replayCount(100, 0.5), replayCount(10, 0), replayCount(0, 0.5)]).toEqual([20, 100, 0, 0]);
    fc.assert(fc.property(fc.nat(100_000), fc.double({ min: 0, max: 0.5, noNaN: true }), (trained, share) => {
      const replayed = replayCount(trained, share);
      expect(Math.abs(replayed - share * (trained + replayed))).toBeLessThanOrEqual(0.5 + 1e-6);
    }));
  });
});

describe('drawReplayed', () => {
  const ids = Array.from({ length: 200 }, (_, index) => `row${String(index)}`);
  it('draws so many, the same ones in any order', () => {
    const drawn = drawReplayed(ids, { seed: 7, count: 50 });
    expect(drawn.size).toBe(50);
    expect(drawReplayed(ids.toReversed(), { seed: 7, count: 50 })).toEqual(drawn);
  });
  it('draws others for another seed, and all where there are too few', () => {
    const drawn = [...drawReplayed(ids, { seed: 7, count: 50 })];
    const other = drawReplayed(ids, { seed: 8, count: 50 });
    expect(drawn.filter((id) => other.has(id)).length).toBeLessThan(30);
    expect(drawReplayed(['a', 'b'], { seed: 7, count: 50 })).toEqual(new Set(['a', 'b']));
  });
  it('moves at most one row for one row more', () => {
    const before = [...drawReplayed(ids.slice(1), { seed: 7, count: 50 })];
    const after = drawReplayed(ids, { seed: 7, count: 50 });
    expect(before.filter((id) => !after.has(id)).length).toBeLessThanOrEqual(1);
  });
  it('takes the smallest sha256 of seed:id', () => {
    // sha256sum of "7:a" begins with 82d9, of "7:b" with ec2a, of "7:c" with 18ec.
    expect(drawReplayed(['a', 'b', 'c'], { seed: 7, count: 1 })).toEqual(new Set(['c']));
    expect(drawReplayed(['a', 'b', 'c'], { seed: 7, count: 2 })).toEqual(new Set(['c', 'a']));
  });
});
