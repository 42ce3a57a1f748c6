import { pathOf, routes } from '@sgpo/contracts';
import type {
  Artifact, CallOf, Dataset, DatasetBody, DatasetPage, Estimate, EventPage, Lineage, Metrics, Preview, RecipeList, Report, ResponseOf, ResumeBody, Route, Run, RunDetail, RunEvent, RunPage, RunSpecBody, Study,
  StudyBody, StudyPage, StudyReport,
} from '@sgpo/contracts';
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

interface CreateOptions { readonly idempotencyKey?: string }
interface PageQuery { readonly limit?: number; readonly cursor?: string }

/** The REST API as functions. Every method throws ApiError when the call does not succeed. */
export interface Client {
  /** Starts a run. The same key and body give the same run, however often they are sent. */
  createRun(spec: RunSpecBody | RunSpec, options?: CreateOptions): Promise<Run>;
  /** What a run would read, drop, ask and cost; nothing is started. Reads the data sets whole: waits as long as that takes. */
  estimateRun(spec: RunSpecBody | RunSpec): Promise<Estimate>;
  /**
   * The first rows through every step but training. `result` is null when the run failed, and when it took longer than waitSeconds (120 s when left out): its run goes on then, and
   * report() gives the preview once it has ended. Node's fetch waits 300 s for an answer at most: give less, or 0 and follow the run.
   */
  previewRun(spec: RunSpecBody | RunSpec, query?: { readonly rows?: number; readonly waitSeconds?: number }): Promise<Preview>;
  getRun(id: string): Promise<RunDetail>;
  listRuns(query?: PageQuery & { readonly state?: Run['state'] }): Promise<RunPage>;
  cancelRun(id: string): Promise<Run>;
  /** Goes on with a paused run, with another budget when one is given. */
  resumeRun(id: string, body?: ResumeBody): Promise<Run>;
  /** One page of events behind `after`. */
  events(id: string, query?: { readonly after?: number; readonly limit?: number }): Promise<EventPage>;
  /** Events as they happen, up to the last one of the run; survives lost connections. */
  streamEvents(id: string, options?: StreamOptions): AsyncGenerator<RunEvent, void, undefined>;
  metrics(id: string): Promise<Metrics>;
  lineage(id: string): Promise<Lineage>;
  report(id: string): Promise<Report>;
  /** The report as Markdown. */
  reportMarkdown(id: string): Promise<string>;
  /** Starts all runs of a study, or none. */
  createStudy(study: StudyBody, options?: CreateOptions): Promise<Study>;
  getStudy(id: string): Promise<Study>;
  listStudies(query?: PageQuery): Promise<StudyPage>;
  /** Of the runs that have succeeded so far. */
  studyReport(id: string): Promise<StudyReport>;
  studyReportMarkdown(id: string): Promise<string>;
  /** Registers a data set; getDataset tells when it has been read. */
  createDataset(dataset: DatasetBody): Promise<Dataset>;
  getDataset(name: string): Promise<Dataset>;
  listDatasets(query?: PageQuery): Promise<DatasetPage>;
  recipes(): Promise<RecipeList>;
  artifact(digest: string): Promise<Artifact>;
  /** Bytes of a file, or those from `start` to `end` (both included). */
  downloadArtifactFile(digest: string, path: string, options?: { readonly range?: { readonly start: number; readonly end: number }; readonly signal?: AbortSignal }): Promise<Download>;
}

type JsonRoute = Route & { readonly response: NonNullable<Route['response']> };
type Query = Readonly<Record<string, string | number | undefined>>;

/** What a preview takes beyond its wait, to begin and to answer. */
const answerMs = 30_000;
/** Data sets of some gigabytes are read within it. */
const estimateMs = 600_000;
const defaultWaitSeconds = 120;

export function createClient(options: ClientOptions): Client {
  const connection: Connection = {
    baseUrl: options.baseUrl.replace(/\/+$/, ''), token: options.token, fetch: options.fetch ?? fetch, timeoutMs: options.timeoutMs ?? 30_000,
  };

  async function call<R extends JsonRoute>(route: R, input: {
    readonly params?: Readonly<Record<string, string>>; readonly query?: Query; readonly body?: CallOf<R>['body'] | RunSpec; readonly headers?: Readonly<Record<string, string>>;
    readonly timeoutMs?: number;
  }): Promise<ResponseOf<R>> {
    // A longer wait than the connection's own where the service works before it answers.
    const response = await send({ ...connection, timeoutMs: Math.max(connection.timeoutMs, input.timeoutMs ?? 0) }, {
      method: route.method, path: pathOf(route, input.params ?? {}) + queryOf(input.query ?? {}), headers: { accept: 'application/json', ...input.headers }, body: input.body,
    });
    const parsed = route.response.safeParse(await readJson(connection, response));
    if (!parsed.success) throw badAnswer(response.status, parsed.error);
    return parsed.data as ResponseOf<R>;
  }

  const markdown = async (path: string): Promise<string> => readText(connection, await send(connection, { method: 'GET', path, headers: { accept: 'text/markdown' } }));

  return {
    createRun: (spec, options = {}) => call(routes.createRun, { body: spec, headers: keyOf(options) }),
    estimateRun: (spec) => call(routes.estimateRun, { body: spec, timeoutMs: estimateMs }),
    previewRun: (spec, query = {}) => call(routes.previewRun, { body: spec, query: { ...query }, timeoutMs: (query.waitSeconds ?? defaultWaitSeconds) * 1000 + answerMs }),
    getRun: (id) => call(routes.getRun, { params: { id } }),
    listRuns: (query = {}) => call(routes.listRuns, { query: { ...query } }),
    cancelRun: (id) => call(routes.cancelRun, { params: { id } }),
    resumeRun: (id, body = {}) => call(routes.resumeRun, { params: { id }, body }),
    events: (id, query = {}) => call(routes.events, { params: { id }, query }),
    streamEvents: (id, streamOptions) => streamEvents(connection, id, streamOptions),
    metrics: (id) => call(routes.metrics, { params: { id } }),
    lineage: (id) => call(routes.lineage, { params: { id } }),
    report: (id) => call(routes.report, { params: { id } }),
    reportMarkdown: (id) => markdown(pathOf(routes.report, { id })),
    createStudy: (study, options = {}) => call(routes.createStudy, { body: study, headers: keyOf(options) }),
    getStudy: (id) => call(routes.getStudy, { params: { id } }),
    listStudies: (query = {}) => call(routes.listStudies, { query: { ...query } }),
    studyReport: (id) => call(routes.studyReport, { params: { id } }),
    studyReportMarkdown: (id) => markdown(pathOf(routes.studyReport, { id })),
    createDataset: (dataset) => call(routes.createDataset, { body: dataset }),
    getDataset: (name) => call(routes.getDataset, { params: { name } }),
    listDatasets: (query = {}) => call(routes.listDatasets, { query: { ...query } }),
    recipes: () => call(routes.recipes, {}),
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

const keyOf = ({ idempotencyKey }: CreateOptions): Readonly<Record<string, string>> => (idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey });

function queryOf(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? '' : `?${given.toString()}`;
}
