// What a user can know before a run costs anything: data sets under a name, estimates, and previews whose work the run keeps.
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Dataset, Estimate, Preview, RunDetail } from '@sgpo/contracts';
import { startFleet, type Fleet } from './fleet.ts';

let fleet: Fleet;
beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => { await fleet.stop(); });

const examples = resolve(import.meta.dirname, '../../examples/data');
const stepOf = (run: RunDetail, key: string) => run.steps.find((step) => step.key === key)!;
const dataOf = (): Record<string, Record<string, unknown>> => (fleet.spec() as unknown as { data: Record<string, Record<string, unknown>> }).data;
const spent = async (): Promise<number> => ((await fleet.call<{ runs: { id: string }[] }>('GET', '/v1/runs')).body.runs.length);

async function register(name: string, path: string): Promise<Dataset> {
  expect((await fleet.call('POST', '/v1/datasets', { name, as: 'policy', source: { path }, license: 'Apache-2.0' })).status).toBe(202);
  for (;;) {
    const { body } = await fleet.call<Dataset>('GET', `/v1/datasets/${name}`);
    if (body.state !== 'registering') return body;
    await sleep(100);
  }
}

test('a registered data set keeps schema, counts, digest, licence and a preview, and a run may name it', async () => {
  const path = join(fleet.data, 'registered.jsonl');
  const bytes = readFileSync(join(examples, 'policy.jsonl'));
  writeFileSync(path, bytes);
  const registered = await register('mine', path);
  expect(registered).toMatchObject({
    state: 'ready', license: 'Apache-2.0', schema: { format: 'ultrafeedback' }, counts: { rowsIn: 118, rowsOut: 118, dropped: {} }, sha256: createHash('sha256').update(bytes).digest('hex'),
  });
  expect(registered.preview!.length).toBeGreaterThan(0);
  expect((await fleet.call('POST', '/v1/datasets', { name: 'mine', as: 'policy', source: { path } })).status).toBe(409);

  const spec = fleet.spec({ preset: 'spin', data: { policy: { dataset: 'mine', limit: 12 } }, teacher: null });
  const { detail } = await fleet.run(spec);
  expect(detail.failure).toBeNull();
  expect(detail.spec.data.policy).toMatchObject({ dataset: 'mine', sha256: registered.sha256 });

  appendFileSync(path, '\n{"prompt": "New?", "response": "Yes."}\n');
  const changed = await fleet.run(spec);
  expect(changed.detail.failure).toMatchObject({ code: 'DATASET.CHANGED' });
});

test('a data set that cannot be used is registered as failed, with the reason', async () => {
  const path = join(fleet.data, 'hopeless.jsonl');
  writeFileSync(path, '{"prompt": " ", "response": "x"}\n{"prompt": "y", "response": ""}\n');
  const failed = await register('hopeless', path);
  expect(failed).toMatchObject({ state: 'failed', failure: { code: 'DATASET.NO_ROWS_LEFT' } });
});

test('an estimate shows rows, tokens, prompts and every drop, and costs nothing', async () => {
  const path = join(fleet.data, 'flawed.jsonl');
  writeFileSync(path, `${readFileSync(join(examples, 'policy.jsonl'), 'utf8').split('\n').slice(0, 8).join('\n')}\n{"prompt": "", "response": "x"}\n{broken\n`);
  const before = await spent();
  const { status, body } = await fleet.call<Estimate>('POST', '/v1/runs:estimate', fleet.spec({ data: { ...dataOf(), policy: { path } } }));
  expect(status).toBe(200);
  expect(body.sets.find(({ space }) => space === 'policy')).toMatchObject({
    rowsIn: 10, rowsOut: 8, dropped: { empty_prompt: 1, malformed_line: 1 }, drops: [{ row: 9, reason: 'empty_prompt' }, { row: 10, reason: 'malformed_line' }], dropsLeftOut: 0,
  });
  expect(body.steps.find(({ key }) => key === 'generate-y0')).toMatchObject({ rows: 12 });
  expect(body.teacher).toMatchObject({ calls: 24, cost: null });
  expect([...new Set(body.prompts.map(({ prompt }) => prompt))].toSorted()).toEqual(['plain', 'refine', 'teach', 'train']);
  for (const { rows } of body.prompts) expect(rows).toHaveLength(3);
  expect(await spent()).toBe(before);
});

test('a preview answers with texts and verdicts, and the run that follows finds its work done', async () => {
  const spec = fleet.spec({ preset: 'sgpo', seed: 41, teacher: { ...fleet.stack.teacher, seed: 41, concurrency: 1, maxTokens: 32 } });
  const { status, body } = await fleet.call<Preview>('POST', '/v1/runs:preview?rows=3&waitSeconds=240', spec);
  expect(status).toBe(200);
  const improver = body.result!.rows.filter(({ space }) => space === 'improver');
  expect(improver).toHaveLength(3);
  for (const row of improver) {
    expect(row.draft).not.toBeNull();
    expect(Object.keys(row.verdicts).length).toBeGreaterThan(0);
  }
  expect(body.result!.rows.some(({ space, refined }) => space === 'policy' && refined !== null)).toBe(true);
  expect(body.result!.spent.calls).toBe(8); // two answers for each row of the first block of four

  const { detail, report } = await fleet.run(spec);
  expect(detail.failure).toBeNull();
  for (const key of ['generate-y0', 'teach-external', 'teach-improved', 'score-improved']) {
    expect([key, stepOf(detail, key).tasks.find(({ posFrom }) => posFrom === 0)!.state]).toEqual([key, 'cached']);
  }
  expect(report!.teacher.calls).toBe(16);
});
