import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from './client.ts';
import type { Client } from './client.ts';
import { ApiError } from './errors.ts';

/** The far side of the network: a real server whose answers each test scripts. */
let server: Server;
let baseUrl: string;
let client: Client;
let requests: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[];
let answers: ((response: ServerResponse) => void)[];

beforeEach(async () => {
  [requests, answers] = [[], []];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    request.on('end', () => {
      requests.push({ method: request.method!, url: request.url!, headers: request.headers, body });
      answers.shift()!(response);
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  baseUrl = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  client = createClient({ baseUrl: `${baseUrl}/`, token: 'sgpo_t', timeoutMs: 2000 });
});
afterEach(() => { server.closeAllConnections(); server.close(); });

const json = (status: number, body: unknown, type = 'application/json') => (response: ServerResponse): void => { response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body)); };
const stream = (text: string, end: 'ends' | 'breaks' = 'ends') => (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'connection': 'close' }).write(text, () => { if (end === 'ends') response.end(); else setTimeout(() => { response.destroy(); }, 20); });
};
const noContent = (response: ServerResponse): void => { response.writeHead(204).end(); };
const event = (sequence: number): string => `id: ${String(sequence)}\nevent: task.log\ndata: ${JSON.stringify({ sequence, at: '2026-01-01T00:00:00.000Z', type: 'task.log', stepKey: null, taskId: null, data: {} })}\n\n`;
const run = { id: 'run_1', name: null, preset: 'sgpo', state: 'queued', failure: null, progress: { tasksDone: 0, tasksTotal: 1, fraction: 0 }, pauseReason: null, budget: { tokens: null, cost: null }, preview: false, study: null, createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z', startedAt: null, endedAt: null };
const spec = { preset: 'sgpo', model: { path: 'm' }, data: { improver: { path: 'i' }, policy: { path: 'p' } }, teacher: { baseUrl: 'http://h/v1', model: 't' } } as const;

const failure = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await promise.then(() => null, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};

describe('calls', () => {
  it('carry the token, the key, the body and the query', async () => {
    answers.push(json(201, run), json(200, { runs: [run], next: null }));
    expect(await client.createRun(spec, { idempotencyKey: 'k' })).toEqual(run);
    expect(requests[0]).toMatchObject({ method: 'POST', url: '/v1/runs', headers: { 'authorization': 'Bearer sgpo_t', 'idempotency-key': 'k', 'content-type': 'application/json' }, body: JSON.stringify(spec) });
    expect((await client.listRuns({ limit: 3, state: 'queued' })).runs).toHaveLength(1);
    expect(requests[1]!.url).toBe('/v1/runs?limit=3&state=queued');
  });

  it('reach every route by its own address', async () => {
    const page = { next: null };
    const study = { id: 's', name: 'n', state: 'running', createdAt: run.createdAt, runs: [run] };
    const set = { name: 'd', state: 'registering', as: 'policy', source: { path: 'p', hub: null, dataset: null, limit: null, format: 'auto', columns: null, malformed: 'drop', dropFlagged: [], sha256: null }, license: null, schema: null, counts: null, sha256: null, preview: null, failure: null, createdAt: run.createdAt, updatedAt: run.createdAt };
    const estimate = { steps: [], teacher: null, worker: { seconds: null, unknown: [] }, sets: [], prompts: [], assumptions: [] };
    answers.push(json(200, estimate), json(202, { run, result: null }), json(202, run), json(201, study), json(200, study), json(200, { ...page, studies: [] }), json(200, { a: 1 }),
      (response) => { response.writeHead(200, { 'content-type': 'text/markdown' }).end('# S'); }, json(202, set), json(200, set), json(200, { ...page, datasets: [set] }), json(200, { recipes: [] }));
    expect(await client.estimateRun(spec)).toEqual(estimate);
    expect(await client.previewRun(spec, { rows: 4 })).toEqual({ run, result: null });
    await client.resumeRun('run_1', { budget: { tokens: 5 } });
    await client.createStudy({ name: 'n', base: {}, presets: ['spin'] }, { idempotencyKey: 'k' });
    await client.getStudy('s');
    await client.listStudies({ limit: 2 });
    expect(await client.studyReport('s')).toEqual({ a: 1 });
    expect(await client.studyReportMarkdown('s')).toBe('# S');
    await client.createDataset({ name: 'd', source: { path: 'p' }, as: 'policy' });
    await client.getDataset('d');
    await client.listDatasets();
    await client.recipes();
    expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /v1/runs:estimate', 'POST /v1/runs:preview?rows=4', 'POST /v1/runs/run_1/resume', 'POST /v1/studies', 'GET /v1/studies/s', 'GET /v1/studies?limit=2', 'GET /v1/studies/s/report',
      'GET /v1/studies/s/report', 'POST /v1/datasets', 'GET /v1/datasets/d', 'GET /v1/datasets', 'GET /v1/recipes',
    ]);
    expect([requests[2]!.body, requests[3]!.headers['idempotency-key'], requests[7]!.headers['accept']]).toEqual(['{"budget":{"tokens":5}}', 'k', 'text/markdown']);
  });

  it('that are refused throw what the service said', async () => {
    const problems = [{ field: 'seed', value: -1, message: 'm', fix: 'f' }];
    answers.push(json(400, { type: '/problems/SPEC.INVALID', title: 't', status: 400, code: 'SPEC.INVALID', detail: 'd', remedy: 'r', problems, instance: '/v1/runs', requestId: 'q' }, 'application/problem+json'));
    expect(await failure(client.createRun(spec))).toMatchObject({ status: 400, code: 'SPEC.INVALID', detail: 'd', remedy: 'r', problems, requestId: 'q' });
  });

  it('that meet something else than the API say so', async () => {
    answers.push((response) => { response.writeHead(502).end('<html>bad gateway</html>'); }, json(200, { hello: 1 }), (response) => { response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(); });
    expect(await failure(client.getRun('run_1'))).toMatchObject({ status: 502, code: 'CLIENT.BAD_ANSWER' });
    expect(await failure(client.getRun('run_1'))).toMatchObject({ status: 200, code: 'CLIENT.BAD_ANSWER' });
    expect(await failure(client.getRun('run_1'))).toMatchObject({ status: null, code: 'CLIENT.UNREACHABLE' });
  });

  it('to a stopped server say so', async () => {
    server.close();
    const error = await failure(client.getRun('run_1'));
    expect(error).toMatchObject({ status: null, code: 'CLIENT.UNREACHABLE' });
    expect(error.message).toContain(`${baseUrl} cannot be reached (ECONNREFUSED)`);
  });

  it('that are never answered end', async () => {
    answers.push(() => undefined);
    expect(await failure(createClient({ baseUrl, token: 't', timeoutMs: 50 }).getRun('run_1'))).toMatchObject({ status: null, code: 'CLIENT.TIMEOUT' });
  });

  it('give files with their digest, whole or in part', async () => {
    const sha256 = 'ab'.repeat(32);
    answers.push((response) => { response.writeHead(206, { 'etag': `"${sha256}"`, 'content-length': '3' }).end('abc'); });
    const download = await client.downloadArtifactFile('d', 'a b/c.txt', { range: { start: 0, end: 2 } });
    expect([download.bytes, download.sha256, await new Response(download.stream).text()]).toEqual([3, sha256, 'abc']);
    expect(requests[0]).toMatchObject({ url: '/v1/artifacts/d/files/a%20b/c.txt', headers: { range: 'bytes=0-2' } });
  });
});

describe('streamEvents', () => {
  const collect = async (options: Parameters<Client['streamEvents']>[1] = {}): Promise<number[]> => {
    const seen: number[] = [];
    for await (const { sequence } of client.streamEvents('run_1', options)) seen.push(sequence);
    return seen;
  };

  it('goes on behind the last event after a break, repeats nothing, and ends with 204', async () => {
    answers.push(stream(`: heartbeat\n\n${event(1)}${event(2)}id: 3\nevent: task.log\ndata: {"cut`, 'breaks'), stream(event(2) + event(3)), noContent);
    expect(await collect()).toEqual([1, 2, 3]);
    expect(requests.map((request) => request.headers['last-event-id'])).toEqual(['0', '2', '3']);
  });

  it('reads CRLF, and events that arrive in pieces', async () => {
    const text = (event(1) + event(2)).replaceAll('\n', '\r\n');
    answers.push((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const send = (at: number): void => { if (at >= text.length) response.end(); else response.write(text.slice(at, at + 37), () => { setImmediate(send, at + 37); }); };
      send(0);
    }, noContent);
    expect(await collect()).toEqual([1, 2]);
  });

  it('waits for a server that is away, but not for ever', async () => {
    const { port } = server.address() as AddressInfo;
    server.close();
    server.closeAllConnections();
    setTimeout(() => { server.listen(port, '127.0.0.1'); }, 250);
    answers.push(stream(event(1)), noContent);
    expect(await collect()).toEqual([1]);
    server.closeAllConnections();
    server.close();
    expect(await failure(client.streamEvents('run_1', { patienceMs: 100 }).next())).toMatchObject({ code: 'CLIENT.UNREACHABLE' });
  });

  it('does not insist when the service refuses', async () => {
    answers.push(json(404, { type: '/problems/RUN.NOT_FOUND', title: 't', status: 404, code: 'RUN.NOT_FOUND', detail: 'd', remedy: 'r', problems: [], instance: '/', requestId: 'q' }));
    expect(await failure(collect())).toMatchObject({ code: 'RUN.NOT_FOUND' });
    expect(requests).toHaveLength(1);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    answers.push((response) => { response.writeHead(200, { 'content-type': 'text/event-stream' }).write(event(1)); });
    const seen: number[] = [];
    await expect((async () => {
      for await (const { sequence } of client.streamEvents('run_1', { signal: controller.signal })) {
        seen.push(sequence);
        controller.abort(new Error('enough'));
      }
    })()).rejects.toThrow('enough');
    expect(seen).toEqual([1]);
  });
});
