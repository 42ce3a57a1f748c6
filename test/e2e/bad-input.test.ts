// What a user who makes a mistake sees: a 4xx, or a failed step, with a code, the field, the value and the fix; never a 500 and never a hang.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunSpecBody } from '@sgpo/contracts';
import { startFleet, type Fleet } from './fleet.ts';

let fleet: Fleet;
beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => { await fleet.stop(); });

const file = (name: string, text: string): string => {
  const path = join(fleet.data, name);
  writeFileSync(path, text);
  return path;
};
const row = (n: number): string => JSON.stringify({ prompt: `What is ${String(n)} plus one?`, response: String(n + 1) });
const policy = (path: string, options: Record<string, unknown> = {}): Record<string, unknown> => ({ ...(fleet.spec() as unknown as { data: Record<string, unknown> }).data, policy: { path, ...options } });

async function post(body: unknown): Promise<{ readonly status: number; readonly problem: { code: string; detail: string; remedy: string; problems?: { field: string; message: string; fix: string }[] } }> {
  const response = await fetch(`${fleet.stack.url}/v1/runs`, {
    method: 'POST', headers: { authorization: `Bearer ${fleet.token}`, 'content-type': 'application/json' }, body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, problem: await response.json() as never };
}

describe('refused when it is sent', () => {
  test.each<[string, () => unknown, string, string]>([
    ['a misspelt field', () => ({ ...fleet.spec(), sede: 3 }), 'SPEC.INVALID', 'sede'],
    ['a misspelt nested field', () => fleet.spec({ sampling: { temprature: 0.7 } }), 'SPEC.INVALID', 'sampling.temprature'],
    ['a wrong type', () => fleet.spec({ seed: 'seven' }), 'SPEC.INVALID', 'seed'],
    ['a preset that does not exist', () => fleet.spec({ preset: 'sgpo+step3' }), 'SPEC.UNKNOWN_PRESET', 'preset'],
    ['a learning rate of 0', () => fleet.spec({ preference: { learningRate: 0 } }), 'SPEC.INVALID', 'preference.learningRate'],
    ['a negative batch', () => fleet.spec({ improverTraining: { batchSize: -8 } }), 'SPEC.INVALID', 'improverTraining.batchSize'],
    ['a literal key', () => fleet.spec({ teacher: { baseUrl: 'https://api.example.com/v1', model: 'm', apiKey: 'sk-secret' } }), 'SPEC.INVALID', 'teacher.apiKey'],
    ['a data set that does not exist', () => fleet.spec({ data: policy(join(fleet.data, 'nowhere.jsonl')) }), 'DATASET.NOT_FOUND', 'data.policy.path'],
    ['an empty data set', () => fleet.spec({ data: policy(file('empty.jsonl', '')) }), 'DATASET.EMPTY', 'data.policy.path'],
    ['wrong columns', () => fleet.spec({ data: policy(file('columns.jsonl', '{"question": "x", "answer": "y"}\n')) }), 'DATASET.WRONG_COLUMNS', 'data.policy.path'],
    ['a truncated line, where none may be', () => fleet.spec({ data: policy(file('cut.jsonl', `${row(1)}\n{"prompt": "What`), { malformed: 'fail' }) }), 'DATASET.MALFORMED_LINE', 'data.policy.path'],
    ['a file of nothing but truncated lines', () => fleet.spec({ data: policy(file('broken.jsonl', '{"prompt": "What\n{"prompt": "Who\n')) }), 'DATASET.MALFORMED_LINE', 'data.policy.path'],
    ['options that contradict each other', () => fleet.spec({ preset: 'spin', teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 'm' } }), 'SPEC.CONFLICT', 'teacher'],
    ['a loss of another trainer', () => fleet.spec({ preference: { loss: 'simpo' } }), 'SPEC.CONFLICT', 'preference.loss'],
    ['a data set that nobody registered', () => fleet.spec({ data: { ...policy(''), policy: { dataset: 'unheard-of' } } }), 'DATASET.UNKNOWN', 'data.policy.dataset'],
    ['a run to continue that does not exist', () => fleet.spec({ model: { from: { run: 'run_nothing' } } }), 'RUN.NOT_FOUND', 'model.from.run'],
    ['a file outside the allowed folders', () => fleet.spec({ data: policy('/etc/passwd') }), 'DATASET.NOT_ALLOWED', 'data.policy.path'],
    ['a model folder that is none', () => fleet.spec({ model: { path: fleet.data } }), 'MODEL.INVALID_FOLDER', 'model.path'],
    ['a model that does not exist', () => fleet.spec({ model: { path: join(fleet.data, 'nothing') } }), 'MODEL.NOT_FOUND', 'model.path'],
  ])('%s', async (_, body, code, field) => {
    const { status, problem } = await post(body());
    expect([status, problem.code]).toEqual([['DATASET.UNKNOWN', 'RUN.NOT_FOUND'].includes(code) ? 404 : 400, code]);
    expect(problem.problems?.map((one) => one.field)).toContain(field);
    expect(problem.remedy).not.toBe('');
    expect(JSON.stringify(problem)).not.toContain('sk-secret');
  });

  test('a body that is not JSON', async () => {
    expect(await post('{"preset": ')).toMatchObject({ status: 400, problem: { code: 'REQUEST.NOT_JSON' } });
  });
});

describe('fails in its step', () => {
  const failureOf = async (spec: RunSpecBody): Promise<{ code: string; message: string; remedy: string }> => {
    const { detail } = await fleet.run(spec);
    expect(detail.state).toBe('failed');
    expect(detail.steps.flatMap((step) => step.tasks).some((task) => ['running', 'ready', 'pending'].includes(task.state))).toBe(false);
    return detail.failure!;
  };

  test('a truncated line far down the file, with its number', async () => {
    const rows = Array.from({ length: 200 }, (_, n) => row(n));
    rows[150] = '{"prompt": "What is';
    const failure = await failureOf(fleet.spec({ data: policy(file('late.jsonl', rows.join('\n')), { malformed: 'fail' }) }));
    expect(failure).toMatchObject({ code: 'DATASET.MALFORMED_LINE' });
    expect(failure.message).toContain('line 151');
  });

  test('a max length below the template drops every row, with its reason', async () => {
    const failure = await failureOf(fleet.spec({ improverTraining: { batchSize: 4, microBatchSize: 2, maxLength: 8, dtype: 'float32', saveDtype: 'float32' } }));
    expect(failure).toMatchObject({ code: 'DATASET.NO_ROWS_LEFT' });
    expect(failure.message).toContain('too_long');
  });

  const withTeacher = async (listener: RequestListener): Promise<{ code: string; message: string; remedy: string }> => {
    const server: Server = createServer(listener);
    await new Promise<void>((ready) => { server.listen(0, '127.0.0.1', ready); });
    const { port } = server.address() as AddressInfo;
    try {
      return await failureOf(fleet.spec({ teacher: { baseUrl: `http://127.0.0.1:${String(port)}/v1`, model: `m${String(port)}`, maxAttempts: 2, concurrency: 1 } }));
    } finally { server.close(); }
  };

  test('a teacher that refuses', async () => {
    expect(await withTeacher((_, response) => { response.writeHead(401).end('{"error": {"message": "bad key"}}'); })).toMatchObject({ code: 'TEACHER.REFUSED' });
  });

  test('a teacher that answers rubbish', async () => {
    expect(await withTeacher((_, response) => { response.writeHead(200, { 'content-type': 'text/html' }).end('<html>hello</html>'); })).toMatchObject({ code: 'TEACHER.BAD_ANSWER' });
  });

  test('a teacher nobody listens for', async () => {
    const failure = await failureOf(fleet.spec({ teacher: { baseUrl: 'http://127.0.0.1:9/v1', model: 'nobody', maxAttempts: 2, concurrency: 1 } }));
    expect(failure).toMatchObject({ code: 'TEACHER.UNREACHABLE' });
  });

  test('a data set with no usable row', async () => {
    mkdirSync(join(fleet.data, 'more'), { recursive: true });
    const failure = await failureOf(fleet.spec({ data: policy(file('blank.jsonl', '{"prompt": " ", "response": "x"}\n{"prompt": "y", "response": ""}\n')) }));
    expect(failure).toMatchObject({ code: 'DATASET.NO_ROWS_LEFT' });
    expect(failure.message).toMatch(/empty_prompt.*empty_response|empty_response.*empty_prompt/);
  });
});
