import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRun, finishStep, openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

describe('tokens', () => {
  it.each([
    ['missing', undefined, 'AUTH.MISSING', 'Bearer realm="sgpo"'],
    ['unknown', 'Bearer sgpo_nope', 'AUTH.INVALID', 'Bearer realm="sgpo", error="invalid_token"'],
    ['of another kind', 'Basic dXNlcjpwYXNz', 'AUTH.INVALID', 'Bearer realm="sgpo", error="invalid_token"'],
    ['with a NUL', 'Bearer a\0b', 'AUTH.INVALID', 'Bearer realm="sgpo", error="invalid_token"'],
  ])('%s: 401', async (_, authorization, code, challenge) => {
    const answer = await api.app.inject({ url: '/v1/runs', headers: authorization === undefined ? {} : { authorization } });
    expect([answer.statusCode, answer.json().code, answer.headers['www-authenticate']]).toEqual([401, code, challenge]);
    expect(answer.headers['content-type']).toBe('application/problem+json');
  });

  it('revoked: 401 at once', async () => {
    const { id, token } = await api.database.tokens.create({ teamId: api.teamId, name: 'short', expiresAt: null });
    const ask = () => api.app.inject({ url: '/v1/runs', headers: { authorization: `Bearer ${token}` } });
    expect((await ask()).statusCode).toBe(200);
    await api.database.tokens.revoke(id);
    expect((await ask()).statusCode).toBe(401);
  });

  it('are not needed for health and the document', async () => {
    for (const url of ['/healthz', '/readyz', '/openapi.json']) expect((await api.app.inject({ url })).statusCode, url).toBe(200);
  });

  it('show the runs and artifacts of their own team only', async () => {
    const otherTeam = await api.database.tokens.ensureTeam('other');
    const other = await createRun(api, otherTeam);
    await api.database.runs.start(other);
    const digest = await finishStep(api, other, 'import-model', { 'a.txt': 'secret' });
    for (const [url, code] of [[`/v1/runs/${other}`, 'RUN.NOT_FOUND'], [`/v1/runs/${other}/events`, 'RUN.NOT_FOUND'], [`/v1/runs/${other}/metrics`, 'RUN.NOT_FOUND'], [`/v1/runs/${other}/lineage`, 'RUN.NOT_FOUND'],
      [`/v1/runs/${other}/report`, 'RUN.NOT_FOUND'], [`/v1/artifacts/${digest}`, 'ARTIFACT.NOT_FOUND'], [`/v1/artifacts/${digest}/files/a.txt`, 'ARTIFACT.NOT_FOUND']] as const) {
      const answer = await api.call({ url });
      expect([answer.statusCode, answer.json().code], url).toEqual([404, code]);
    }
    expect((await api.call({ method: 'POST', url: `/v1/runs/${other}/cancel` })).statusCode).toBe(404);
    expect((await api.call({ url: '/v1/runs' })).json().runs).toEqual([]);
  });
});

describe('a run', () => {
  it('shows steps, tasks, progress below 1, curves and lineage', async () => {
    const id = await createRun(api);
    expect((await api.call({ url: `/v1/runs/${id}/report` })).json()).toMatchObject({ status: 404, code: 'RUN.NO_REPORT' });
    await api.database.runs.start(id);
    const digest = await finishStep(api, id, 'filter', { 'rows.parquet': 'x' }, 'table');
    const run = (await api.call({ url: `/v1/runs/${id}` })).json();
    expect(run).toMatchObject({ id, state: 'running', preset: 'sgpo', spec: { preset: 'sgpo', sampling: { topP: 0.9 } }, failure: null });
    const filter = run.steps.find((step: { key: string }) => step.key === 'filter');
    expect(filter).toMatchObject({ state: 'succeeded', output: digest, rowsIn: 3, rowsOut: 2, dropped: { empty: 1 }, tasks: [{ role: 'whole', state: 'succeeded', attempts: 1, failure: null }] });
    expect(run.progress.tasksDone).toBe(1);
    expect(run.progress.fraction).toBeCloseTo(1 / run.progress.tasksTotal);
    expect((await api.call({ url: `/v1/runs/${id}/metrics` })).json()).toEqual({ series: [{ stepKey: 'filter', name: 'loss', points: [{ step: 1, value: 0.5 }, { step: 2, value: 0.25 }] }] });
    expect((await api.call({ url: `/v1/runs/${id}/lineage` })).json().links).toMatchObject([{ direction: 'out', digest, stepKey: 'filter', runId: id, kind: 'table' }]);
    expect((await api.call({ url: `/v1/artifacts/${digest}` })).json()).toMatchObject({ digest, kind: 'table', files: [{ path: 'rows.parquet', bytes: 1 }] });
  });

  it('that does not exist: 404; an id that cannot be one: 400', async () => {
    expect((await api.call({ url: '/v1/runs/run_nope' })).json()).toMatchObject({ status: 404, code: 'RUN.NOT_FOUND', instance: '/v1/runs/run_nope' });
    for (const id of ['a%00b', 'a%20b', 'x'.repeat(65)]) expect((await api.call({ url: `/v1/runs/${id}` })).json(), id).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field: 'id' }] });
  });

  it('gives its report as JSON or Markdown', async () => {
    const id = await createRun(api);
    await api.database.runs.start(id);
    await finishStep(api, id, 'report', { 'report.json': '{"a":1}', 'report.md': '# Report ü' });
    const url = `/v1/runs/${id}/report`;
    for (const accept of [undefined, '*/*', 'application/json', 'application/json, text/markdown;q=0.5', 'text/markdown;q=0']) {
      const answer = await api.call({ url, headers: accept === undefined ? {} : { accept } });
      expect([answer.statusCode, answer.headers['content-type'], answer.json()], accept).toEqual([200, 'application/json; charset=utf-8', { a: 1 }]);
    }
    const answer = await api.call({ url, headers: { accept: 'text/markdown' } });
    expect([answer.statusCode, answer.headers['content-type'], answer.body]).toEqual([200, 'text/markdown; charset=utf-8', '# Report ü']);
    expect((await api.call({ method: 'HEAD', url })).statusCode).toBe(200);
  });
});

describe('a file', () => {
  let url: string;
  let etag: string;
  beforeAll(async () => {
    const id = await createRun(api);
    await api.database.runs.start(id);
    const digest = await finishStep(api, id, 'filter', { 'a b.txt': '0123456789', 'empty.txt': '' }, 'table');
    url = `/v1/artifacts/${digest}/files/a%20b.txt`;
    etag = String((await api.call({ url })).headers['etag']);
  });

  it('comes whole, with its digest as tag', async () => {
    const answer = await api.call({ url });
    expect(answer.statusCode).toBe(200);
    expect(answer.body).toBe('0123456789');
    expect(answer.headers).toMatchObject({
      'content-length': '10', 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream', 'content-disposition': "attachment; filename*=UTF-8''a%20b.txt",
      'etag': '"84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"', 'x-content-type-options': 'nosniff',
    });
  });

  it.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'], ['bytes=7-', 206, '789', 'bytes 7-9/10'], ['bytes=-2', 206, '89', 'bytes 8-9/10'], ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=5-99', 206, '56789', 'bytes 5-9/10'], ['bytes=9-9', 206, '9', 'bytes 9-9/10'], ['bytes=0-1,3-4', 200, '0123456789', undefined], ['lines=1-2', 200, '0123456789', undefined],
    ['bytes=5-2', 200, '0123456789', undefined], ['bytes=a-b', 200, '0123456789', undefined], ['bytes=-', 200, '0123456789', undefined],
  ])('range %s: %i', async (range, status, body, contentRange) => {
    const answer = await api.call({ url, headers: { range } });
    expect([answer.statusCode, answer.body, answer.headers['content-range'], answer.headers['content-length']]).toEqual([status, body, contentRange, String(body.length)]);
  });

  it.each(['bytes=10-', 'bytes=10-20', 'bytes=-0', 'bytes=999999999999999-'])('range %s: 416', async (range) => {
    const answer = await api.call({ url, headers: { range } });
    expect([answer.statusCode, answer.json().code, answer.headers['content-range']]).toEqual([416, 'REQUEST.RANGE', 'bytes */10']);
  });

  it('is not sent again to who has it', async () => {
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const answer = await api.call({ url, headers: { 'if-none-match': tag } });
      expect([answer.statusCode, answer.body], tag).toEqual([304, '']);
    }
    expect((await api.call({ url, headers: { 'if-none-match': '"x"' } })).statusCode).toBe(200);
  });

  it('comes whole when If-Range names another version', async () => {
    expect((await api.call({ url, headers: { 'range': 'bytes=0-3', 'if-range': etag } })).statusCode).toBe(206);
    expect((await api.call({ url, headers: { 'range': 'bytes=0-3', 'if-range': '"old"' } })).statusCode).toBe(200);
  });

  it('tells its length to HEAD', async () => {
    const answer = await api.call({ method: 'HEAD', url });
    expect([answer.statusCode, answer.body, answer.headers['content-length'], answer.headers['etag']]).toEqual([200, '', '10', etag]);
  });

  it('may be empty', async () => {
    const empty = url.replace('a%20b', 'empty');
    expect((await api.call({ url: empty })).headers['content-length']).toBe('0');
    expect((await api.call({ url: empty, headers: { range: 'bytes=0-' } })).statusCode).toBe(416);
  });

  it.each(['nope.txt', '..%2f..%2fetc%2fpasswd', '%2e%2e/%2e%2e/etc/passwd', 'manifest.json', 'a%00b'])('%s is not one of the artifact: 404', async (path) => {
    const answer = await api.call({ url: url.replace('a%20b.txt', path) });
    expect(answer.statusCode).toBe(404);
    expect(['ARTIFACT.FILE_NOT_FOUND', 'ROUTE.NOT_FOUND']).toContain(answer.json().code);
  });

  it('of no artifact: 404; of no digest: 400', async () => {
    expect((await api.call({ url: `/v1/artifacts/${'0'.repeat(64)}/files/x` })).json()).toMatchObject({ status: 404, code: 'ARTIFACT.NOT_FOUND' });
    expect((await api.call({ url: '/v1/artifacts/abc/files/x' })).json()).toMatchObject({ status: 400, code: 'REQUEST.INVALID', problems: [{ field: 'digest' }] });
  });
});
