import { pathOf, routes } from '@sgpo/contracts';
import type { Artifact, CallOf, EventPage, Lineage, Metrics, Report, ResponseOf, Route, Run, RunDetail, RunEvent, RunPage, RunSpecBody } from '@sgpo/contracts';
import type { RunSpec } from '@sgpo/core';
import { badAnswer, readJson, readText, send } from './call.ts';
import type { Connection } from './call.ts';
import { streamEvents } from './stream-events.ts';
import type { StreamOptions } from './stream-events.ts';

export interface ClientOptions {
  /** Address of the API: http://127.0.0.1:8080. */
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch?: typeof fetch;
  /** Longest wait for an answer to begin; 30,000 ms when left out. */
  readonly timeoutMs?: number;
}

export interface Download {
  readonly stream: ReadableStream<Uint8Array>;
  /** Bytes that the stream will give. */
  readonly bytes: number;
  /** sha256 (hex) of the whole file. */
  readonly sha256: string;
}

/** The REST API as functions. Every method throws ApiError when the call does not succeed. */
export interface Client {
  /** Starts a run. The same key and body give the same run, however often they are sent. */
  createRun(spec: RunSpecBody | RunSpec, options?: { readonly idempotencyKey?: string }): Promise<Run>;
  getRun(id: string): Promise<RunDetail>;
  listRuns(query?: { readonly limit?: number; readonly cursor?: string; readonly state?: Run['state'] }): Promise<RunPage>;
  cancelRun(id: string): Promise<Run>;
  /** One page of events behind `after`. */
  events(id: string, query?: { readonly after?: number; readonly limit?: number }): Promise<EventPage>;
  /** Events as they happen, up to the last one of the run; survives lost connections. */
  streamEvents(id: string, options?: StreamOptions): AsyncGenerator<RunEvent, void, undefined>;
  metrics(id: string): Promise<Metrics>;
  lineage(id: string): Promise<Lineage>;
  report(id: string): Promise<Report>;
  /** The report as Markdown. */
  reportMarkdown(id: string): Promise<string>;
  artifact(digest: string): Promise<Artifact>;
  /** Bytes of a file, or those from `start` to `end` (both included). */
  downloadArtifactFile(digest: string, path: string, options?: { readonly range?: { readonly start: number; readonly end: number }; readonly signal?: AbortSignal }): Promise<Download>;
}

type JsonRoute = Route & { readonly response: NonNullable<Route['response']> };
type Query = Readonly<Record<string, string | number | undefined>>;

export function createClient(options: ClientOptions): Client {
  const connection: Connection = {
    baseUrl: options.baseUrl.replace(/\/+$/, ''), token: options.token, fetch: options.fetch ?? fetch, timeoutMs: options.timeoutMs ?? 30_000,
  };

  async function call<R extends JsonRoute>(route: R, input: {
    readonly params?: Readonly<Record<string, string>>; readonly query?: Query; readonly body?: CallOf<R>['body'] | RunSpec; readonly headers?: Readonly<Record<string, string>>;
  }): Promise<ResponseOf<R>> {
    const response = await send(connection, {
      method: route.method, path: pathOf(route, input.params ?? {}) + queryOf(input.query ?? {}), headers: { accept: 'application/json', ...input.headers }, body: input.body,
    });
    const parsed = route.response.safeParse(await readJson(connection, response));
    if (!parsed.success) throw badAnswer(response.status, parsed.error);
    return parsed.data as ResponseOf<R>;
  }

  return {
    createRun: (spec, { idempotencyKey } = {}) => call(routes.createRun, { body: spec, headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey } }),
    getRun: (id) => call(routes.getRun, { params: { id } }),
    listRuns: (query = {}) => call(routes.listRuns, { query }),
    cancelRun: (id) => call(routes.cancelRun, { params: { id } }),
    events: (id, query = {}) => call(routes.events, { params: { id }, query }),
    streamEvents: (id, streamOptions) => streamEvents(connection, id, streamOptions),
    metrics: (id) => call(routes.metrics, { params: { id } }),
    lineage: (id) => call(routes.lineage, { params: { id } }),
    report: (id) => call(routes.report, { params: { id } }),
    reportMarkdown: async (id) => readText(connection, await send(connection, { method: 'GET', path: pathOf(routes.report, { id }), headers: { accept: 'text/markdown' } })),
    artifact: (digest) => call(routes.artifact, { params: { digest } }),
    downloadArtifactFile: async (digest, path, { range, signal } = {}) => {
      const response = await send(connection, {
        method: 'GET', path: pathOf(routes.artifactFile, { digest, '*': path }), headers: range === undefined ? {} : { range: `bytes=${String(range.start)}-${String(range.end)}` }, signal,
      });
      const sha256 = /^"([0-9a-f]{64})"$/.exec(response.headers.get('etag') ?? '')?.[1];
      if (response.body === null || sha256 === undefined || (range !== undefined && response.status !== 206)) throw badAnswer(response.status);
      return { stream: response.body, bytes: Number(response.headers.get('content-length')), sha256 };
    },
  };
}

function queryOf(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? '' : `?${given.toString()}`;
}
