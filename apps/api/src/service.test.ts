import { routes } from '@sgpo/contracts';
import { createDatabase } from '@sgpo/database';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from './app.ts';
import { openTestApi } from './testing/test-api.ts';
import type { TestApi } from './testing/test-api.ts';

let api: TestApi;
beforeAll(async () => { api = await openTestApi(); });
afterAll(async () => { await api.close(); });

interface Operation { readonly operationId: string; readonly parameters?: { readonly in: string; readonly name: string }[]; readonly responses: Record<string, unknown>; readonly requestBody?: unknown; readonly security: unknown[] }

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 and holds every route of the table with its answers', async () => {
    const document = (await api.app.inject({ url: '/openapi.json' })).json() as { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, unknown> } };
    expect(document.openapi).toBe('3.1.0');
    for (const [name, route] of Object.entries(routes)) {
      const path = route.path.replaceAll(/(?<=\/):(\w+)/g, '{$1}').replace('*', '{path}');
      const operation = document.paths[path]?.[route.method.toLowerCase()];
      expect(operation?.operationId, path).toBe(name);
      expect(Object.keys(operation!.responses)).toEqual(expect.arrayContaining([...Object.keys(route.success), '500', ...(route.auth ? ['401'] : [])]));
      const inPath = operation!.parameters?.filter((parameter) => parameter.in === 'path').map((parameter) => `{${parameter.name}}`) ?? [];
      expect(inPath).toEqual(path.match(/\{\w+\}/g) ?? []);
      expect(operation!.security).toEqual(route.auth ? [{ bearer: [] }] : []);
    }
    expect(Object.keys(document.components.schemas)).toEqual(expect.arrayContaining(['NewRunInput', 'RunSpec', 'Run', 'ProblemDocument']));
    const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('refers to nothing that is not in it', async () => {
    const text = (await api.app.inject({ url: '/openapi.json' })).body;
    const { schemas } = (JSON.parse(text) as { components: { schemas: Record<string, unknown> } }).components;
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) expect(schemas, name).toHaveProperty(name!);
    expect(text).not.toContain('PLACEHOLDER');
  });
});

describe('errors', () => {
  it('name the request, which the answer names too', async () => {
    const answer = await api.call({ url: '/v1/nope?secret=1' });
    expect(answer.json()).toMatchObject({ type: '/problems/ROUTE.NOT_FOUND', status: 404, code: 'ROUTE.NOT_FOUND', instance: '/v1/nope', requestId: answer.headers['x-request-id'] });
    expect((await api.call({ method: 'DELETE', url: '/v1/runs' })).json()).toMatchObject({ status: 404, code: 'ROUTE.NOT_FOUND' });
  });

  it('of a broken address are problems too', async () => {
    const answer = await api.call({ url: '/v1/runs/%ZZ' });
    expect([answer.statusCode, answer.headers['content-type'], answer.json().code]).toEqual([400, 'application/problem+json', 'REQUEST.INVALID']);
  });

  it('that nobody foresaw keep their text to themselves', async () => {
    const { database, store } = api;
    const broken = await buildApp({
      database: { ...database, runs: { ...database.runs, list: () => Promise.reject(new Error('password=hunter2')) } }, store, dataRoots: [], allowedHosts: [], environment: {}, cacheFolder: '/nowhere', eventPollMs: 20,
    }, { logLevel: 'silent' });
    const answer = await broken.inject({ url: '/v1/runs', headers: { authorization: `Bearer ${api.token}` } });
    expect([answer.statusCode, answer.json().code, answer.json().detail]).toEqual([500, 'SERVICE.INTERNAL', 'Something failed inside the service']);
    expect(answer.body).not.toContain('hunter2');
    await broken.close();
  });
});

describe('/readyz', () => {
  it('answers 503 when Postgres does not', async () => {
    const database = createDatabase({ url: 'postgres://nobody@127.0.0.1:1/none' });
    const app = await buildApp({ database, store: api.store, dataRoots: [], allowedHosts: [], environment: {}, cacheFolder: '/nowhere', eventPollMs: 20 }, { logLevel: 'silent' });
    const answer = await app.inject({ url: '/readyz' });
    expect([answer.statusCode, answer.json().code]).toEqual([503, 'SERVICE.NOT_READY']);
    expect((await app.inject({ url: '/healthz' })).json()).toEqual({ status: 'ok' });
    const refused = await app.inject({ url: '/v1/runs', headers: { authorization: 'Bearer sgpo_x' } });
    expect([refused.statusCode, refused.json().code]).toEqual([503, 'SERVICE.NOT_READY']);
    await app.close();
    await database.close();
  });
});
