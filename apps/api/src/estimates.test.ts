import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fillPrompt } from '@sgpo/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
  const rows = [
    { prompt: 'one', response: 'yes' }, { prompt: '', response: 'yes' }, { prompt: 'two', response: '  ' }, { prompt: 'one', response: 'again' }, { prompt: 'heldout 1', response: 'x' }, { prompt: 'improver 2', response: 'x' },
    { prompt: 'three', response: 'yes' }, { prompt: 'four', response: 'yes' },
  ].map((row) => JSON.stringify(row));
  await writeFile(join(api.root, 'mixed.jsonl'), [...rows.slice(0, 2), '{"prompt":', ...rows.slice(2)].join('\n'));
  await writeFile(join(api.root, 'blank.jsonl'), Array.from({ length: 1200 }, () => '{"prompt": " ", "response": "b"}').join('\n'));
});
afterAll(async () => { await api.close(); });

const estimate = async (change: object = {}) => {
  const answer = await api.post({ ...api.spec(), ...change }, {}, '/v1/runs:estimate');
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json();
};
const data = (change: object) => ({ data: { ...api.spec().data, ...change } });
const at = (body: { steps: { key: string }[] }, key: string) => body.steps.find((step) => step.key === key);

describe('POST /v1/runs:estimate', () => {
  it('tells rows, tokens, calls and prompts, and starts nothing', async () => {
    const body = await estimate();
    expect(at(body, 'ingest-improver')).toMatchObject({ kind: 'ingest', rows: 3 });
    expect(at(body, 'generate-y0')).toMatchObject({ rows: 3, promptTokens: Math.ceil((3 * 'improver 1'.length) / 4), completionTokens: 3 * 512, seconds: null });
    expect(body.teacher).toMatchObject({ calls: 6, cost: null, reason: expect.stringContaining('teacher.price') });
    expect(body.worker).toEqual({ seconds: null, unknown: ['generate', 'score', 'sft', 'dpo'] });
    expect(body.sets.map(({ space, rowsIn, rowsOut }: { space: string; rowsIn: number; rowsOut: number }) => [space, rowsIn, rowsOut])).toEqual([['improver', 3, 3], ['policy', 3, 3]]);
    const teach = body.prompts.find(({ prompt }: { prompt: string }) => prompt === 'teach');
    expect(teach.rows.map(({ messages }: { messages: unknown }) => messages)).toEqual([1, 2, 3].map((n) => fillPrompt('teach', { prompt: [{ role: 'user', content: `improver ${String(n)}` }], reference: 'yes', draft: '‹y₀: sampled by the run›' })));
    expect(body.assumptions[0]).toContain('Tokens are characters divided by 4');
    expect((await api.call({ url: '/v1/runs' })).json().runs).toEqual([]);
  });

  it('tells every row that would be dropped, with its place and reason', async () => {
    const body = await estimate(data({ policy: { path: join(api.root, 'mixed.jsonl'), limit: 2 }, heldOut: { path: join(api.root, 'heldout.jsonl') } }));
    const policy = body.sets.find(({ space }: { space: string }) => space === 'policy');
    expect(policy).toMatchObject({ format: 'prompt-response', rowsIn: 9, rowsOut: 2, dropped: { empty_prompt: 1, malformed_line: 1, empty_response: 1, duplicate_prompt: 1, evaluation_prompt: 1, shared_prompt: 1, over_limit: 1 } });
    expect(policy.drops.map(({ row, reason }: { row: number; reason: string }) => [row, reason])).toEqual(
      [[2, 'empty_prompt'], [3, 'malformed_line'], [4, 'empty_response'], [5, 'duplicate_prompt'], [6, 'evaluation_prompt'], [7, 'shared_prompt']],
    );
    expect(policy.dropsLeftOut).toBe(1);
    expect(at(body, 'generate-y-r1')).toMatchObject({ rows: 2 });
    expect(body.sets.map(({ space }: { space: string }) => space)).toEqual(['heldOut', 'improver', 'policy']);
  });

  it('lists a thousand drops of a set, and counts the rest; a set without a row is no error here', async () => {
    const body = await estimate(data({ improver: { path: join(api.root, 'blank.jsonl') } }));
    expect(body.sets[0]).toMatchObject({ rowsIn: 1200, rowsOut: 0, dropped: { empty_prompt: 1200 }, dropsLeftOut: 200 });
    expect(body.sets[0].drops).toHaveLength(1000);
    expect(body.assumptions[0]).toBe('data.improver has no usable row: the run would fail when it reads it.');
  });

  it('takes the cost from the price', async () => {
    const teacher = { ...api.spec().teacher, price: { promptPerMillion: 0, completionPerMillion: 1000 }, maxTokens: 100 };
    expect((await estimate({ teacher })).teacher).toMatchObject({ calls: 6, completionTokens: 600, cost: 0.6, reason: null });
  });

  it('serves recipes of given pairs and of Step 0', async () => {
    const body = await estimate({ preset: 'dpo', teacher: null, data: { sft: { path: join(api.root, 'conversations.jsonl') }, preferences: { path: join(api.root, 'preferences.jsonl') } } });
    expect([at(body, 'train-sft'), at(body, 'dpo-r1')]).toMatchObject([{ rows: 2 }, { rows: 2, completionTokens: Math.ceil(8 / 4) + Math.ceil(6 / 4) }]);
    expect([body.teacher, body.prompts]).toEqual([null, []]);
  });

  it('refuses what a run would be refused for', async () => {
    const refused = await api.post({ ...api.spec(), ...data({ policy: { path: join(api.outside, 'policy.jsonl') } }) }, {}, '/v1/runs:estimate');
    expect(refused.json()).toMatchObject({ status: 400, code: 'DATASET.NOT_ALLOWED', problems: [{ field: 'data.policy.path' }] });
  });
});
