import type { ErrorCode } from '@sgpo/core';
import { z } from 'zod';
import {
  artifactSchema, datasetBodySchema, datasetPageSchema, datasetSchema, estimateSchema, eventPageSchema, healthSchema, lineageSchema, metricsSchema, previewSchema, recipeListSchema, reportSchema,
  resumeBodySchema, runDetailSchema, runPageSchema, runSchema, runStateSchema, studyBodySchema, studyPageSchema, studyReportSchema, studySchema,
} from './rest.ts';
import { runSpecBodySchema } from './run-spec.ts';

/** One REST route. The API, the client and the OpenAPI document are all made from this. */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** `:name` is a path parameter, a last `*` the rest of the path. */
  readonly path: string;
  readonly summary: string;
  readonly tag: 'runs' | 'studies' | 'datasets' | 'artifacts' | 'service';
  /** Needs a bearer token. */
  readonly auth: boolean;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  readonly body?: z.ZodType;
  /** The JSON answer; null when the route answers with a file. */
  readonly response: z.ZodType | null;
  /** Status → what it means. */
  readonly success: Readonly<Record<number, string>>;
  /** Media types beside JSON, and what they hold. */
  readonly also?: Readonly<Record<string, string>>;
  /** Codes the route answers with, beside those every route has. */
  readonly errors: readonly ErrorCode[];
}

const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'Give the id of a run as the API shows it' });
const digest = z.string().regex(/^[0-9a-f]{64}$/, { error: 'Give 64 lower-case hex digits' });
const runParams = z.object({ id });
const wholeNumber = (minimum: number, maximum: number): z.ZodCoercedNumber => z.coerce.number().int().min(minimum).max(maximum);
const sequence = wholeNumber(0, 2 ** 31 - 1);
const studyParams = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'Give the id of a study as the API shows it' }) });
const pageQuery = z.strictObject({ limit: wholeNumber(1, 100).default(20), cursor: z.string().max(200).optional().describe('next of the page before') });
const idempotencyHeaders = z.object({
  'idempotency-key': z.string().regex(/^[\x21-\x7e]{1,255}$/, { error: 'Give 1 to 255 printable ASCII characters without spaces' }).optional().describe('The same key and body give the same answer'),
});
const bodyErrors = ['REQUEST.NOT_JSON', 'REQUEST.TOO_LARGE', 'REQUEST.UNSUPPORTED_MEDIA_TYPE'] as const;
const datasetErrors = [
  'DATASET.NOT_FOUND', 'DATASET.NOT_ALLOWED', 'DATASET.EMPTY', 'DATASET.UNREADABLE', 'DATASET.MALFORMED_LINE', 'DATASET.WRONG_COLUMNS', 'DATASET.UNKNOWN', 'DATASET.NOT_READY', 'DATASET.CHANGED',
  'DATASET.REMOTE_UNREACHABLE', 'DATASET.REMOTE_REFUSED',
] as const;
/** What may be wrong with a spec and what it names. */
const launchErrors = [
  ...bodyErrors, 'SPEC.INVALID', 'SPEC.UNKNOWN_PRESET', 'SPEC.CONFLICT', ...datasetErrors, 'MODEL.NOT_FOUND', 'MODEL.NOT_ALLOWED', 'MODEL.INVALID_FOLDER', 'MODEL.NO_CHAT_TEMPLATE',
  'ARTIFACT.NOT_FOUND', 'RUN.NOT_FOUND', 'RUN.NOT_SUCCEEDED', 'RUN.NO_SUCH_MODEL', 'TEACHER.URL_NOT_ALLOWED', 'TEACHER.KEY_MISSING',
] as const;

export const routes = {
  createRun: {
    method: 'POST', path: '/v1/runs', summary: 'Start a run', tag: 'runs', auth: true, body: runSpecBodySchema,
    headers: idempotencyHeaders,
    response: runSchema, success: { 201: 'The run was created', 200: 'The run that this Idempotency-Key created before' },
    errors: [...launchErrors, 'RUN.IDEMPOTENCY_CONFLICT'],
  },
  estimateRun: {
    method: 'POST', path: '/v1/runs:estimate', summary: 'What a run would read, drop, ask and cost, without starting it', tag: 'runs', auth: true, body: runSpecBodySchema,
    response: estimateSchema, success: { 200: 'The estimate' }, errors: launchErrors,
  },
  previewRun: {
    method: 'POST', path: '/v1/runs:preview', summary: 'The first rows through policy, teacher, scorer and refiner; the run that follows reuses them', tag: 'runs', auth: true, body: runSpecBodySchema,
    query: z.strictObject({ rows: wholeNumber(1, 256).default(10).describe('Rounded up to whole blocks'), waitSeconds: wholeNumber(0, 240).default(120).describe('How long to wait for it; clients give up on their own after some minutes') }),
    response: previewSchema, success: { 200: 'The run has ended: its preview, or its failure', 202: 'It is not finished; the report of its run will be it' },
    errors: [...launchErrors, 'ARTIFACT.MISSING_FILES', 'ARTIFACT.CORRUPT', 'STORE.UNAVAILABLE'],
  },
  listRuns: {
    method: 'GET', path: '/v1/runs', summary: 'Runs, newest first', tag: 'runs', auth: true,
    query: pageQuery.extend({ state: runStateSchema.optional() }),
    response: runPageSchema, success: { 200: 'A page of runs' }, errors: [],
  },
  getRun: {
    method: 'GET', path: '/v1/runs/:id', summary: 'A run with its spec, steps, tasks and progress', tag: 'runs', auth: true, params: runParams,
    response: runDetailSchema, success: { 200: 'The run' }, errors: ['RUN.NOT_FOUND'],
  },
  cancelRun: {
    method: 'POST', path: '/v1/runs/:id/cancel', summary: 'Cancel a run; canceling one twice is no error', tag: 'runs', auth: true, params: runParams,
    response: runSchema, success: { 202: 'The run is being canceled' }, errors: ['RUN.NOT_FOUND', 'RUN.FINISHED'],
  },
  resumeRun: {
    method: 'POST', path: '/v1/runs/:id/resume', summary: 'Go on with a paused run, with a new budget where that was the reason', tag: 'runs', auth: true, params: runParams, body: resumeBodySchema,
    response: runSchema, success: { 202: 'The run goes on' }, errors: [...bodyErrors, 'RUN.NOT_FOUND', 'RUN.NOT_PAUSED', 'RUN.BUDGET_SPENT'],
  },
  events: {
    method: 'GET', path: '/v1/runs/:id/events', summary: 'What happened in a run, as pages or as a stream', tag: 'runs', auth: true, params: runParams,
    query: z.strictObject({ after: sequence.default(0).describe('Sequence number to go on from'), limit: wholeNumber(1, 1000).default(200) }),
    headers: z.object({ 'last-event-id': z.string().regex(/^[0-9]{1,10}$/, { error: 'Give the id of the last event that was received' }).optional().describe('Overrides after') }),
    response: eventPageSchema, success: { 200: 'Events', 204: 'Stream only: the run has ended and no event is left' },
    also: { 'text/event-stream': 'Earlier events, then events as they happen, up to the last one of the run' }, errors: ['RUN.NOT_FOUND'],
  },
  metrics: {
    method: 'GET', path: '/v1/runs/:id/metrics', summary: 'Training curves of a run', tag: 'runs', auth: true, params: runParams,
    response: metricsSchema, success: { 200: 'The curves' }, errors: ['RUN.NOT_FOUND'],
  },
  lineage: {
    method: 'GET', path: '/v1/runs/:id/lineage', summary: 'What was made from what', tag: 'runs', auth: true, params: runParams,
    response: lineageSchema, success: { 200: 'Links between tasks and artifacts' }, errors: ['RUN.NOT_FOUND'],
  },
  report: {
    method: 'GET', path: '/v1/runs/:id/report', summary: 'The report of a finished run', tag: 'runs', auth: true, params: runParams,
    response: reportSchema, success: { 200: 'The report' }, also: { 'text/markdown': 'The report for people' }, errors: ['RUN.NOT_FOUND', 'RUN.NO_REPORT', 'ARTIFACT.MISSING_FILES', 'ARTIFACT.CORRUPT', 'STORE.UNAVAILABLE'],
  },
  createStudy: {
    method: 'POST', path: '/v1/studies', summary: 'Start several runs that share what they can, to compare them', tag: 'studies', auth: true, body: studyBodySchema,
    headers: idempotencyHeaders, response: studySchema, success: { 201: 'The study was created', 200: 'The study that this Idempotency-Key created before' },
    errors: [...launchErrors, 'STUDY.INVALID', 'RUN.IDEMPOTENCY_CONFLICT'],
  },
  listStudies: {
    method: 'GET', path: '/v1/studies', summary: 'Studies, newest first', tag: 'studies', auth: true, query: pageQuery, response: studyPageSchema, success: { 200: 'A page of studies' }, errors: [],
  },
  getStudy: {
    method: 'GET', path: '/v1/studies/:id', summary: 'A study and its runs', tag: 'studies', auth: true, params: studyParams, response: studySchema, success: { 200: 'The study' }, errors: ['STUDY.NOT_FOUND'],
  },
  studyReport: {
    method: 'GET', path: '/v1/studies/:id/report', summary: "The methods side by side, beside the paper's numbers; of what has ended so far", tag: 'studies', auth: true, params: studyParams,
    response: studyReportSchema, success: { 200: 'The report' }, also: { 'text/markdown': 'The report for people' }, errors: ['STUDY.NOT_FOUND', 'ARTIFACT.MISSING_FILES', 'ARTIFACT.CORRUPT', 'STORE.UNAVAILABLE'],
  },
  createDataset: {
    method: 'POST', path: '/v1/datasets', summary: 'Register a data set under a name', tag: 'datasets', auth: true, body: datasetBodySchema, response: datasetSchema,
    success: { 202: 'It is being read' }, errors: [...bodyErrors, ...datasetErrors, 'DATASET.NAME_TAKEN'],
  },
  listDatasets: {
    method: 'GET', path: '/v1/datasets', summary: 'Registered data sets, newest first', tag: 'datasets', auth: true, query: pageQuery, response: datasetPageSchema, success: { 200: 'A page of data sets' }, errors: [],
  },
  getDataset: {
    method: 'GET', path: '/v1/datasets/:name', summary: 'A registered data set: schema, counts, digest, preview', tag: 'datasets', auth: true,
    params: z.object({ name: z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, { error: 'Give the name of a data set as the API shows it' }) }),
    response: datasetSchema, success: { 200: 'The data set' }, errors: ['DATASET.UNKNOWN'],
  },
  recipes: {
    method: 'GET', path: '/v1/recipes', summary: 'Presets with their options and defaults', tag: 'service', auth: true, response: recipeListSchema, success: { 200: 'The presets' }, errors: [],
  },
  artifact: {
    method: 'GET', path: '/v1/artifacts/:digest', summary: 'An artifact and its files', tag: 'artifacts', auth: true, params: z.object({ digest }),
    response: artifactSchema, success: { 200: 'The artifact' }, errors: ['ARTIFACT.NOT_FOUND'],
  },
  artifactFile: {
    method: 'GET', path: '/v1/artifacts/:digest/files/*', summary: 'A file of an artifact, whole or one range of it', tag: 'artifacts', auth: true,
    params: z.object({ 'digest': digest, '*': z.string().min(1).max(1024).describe('Path of the file as the artifact lists it') }),
    headers: z.object({ 'range': z.string().max(200).optional().describe('bytes=from-to; one range'), 'if-range': z.string().max(200).optional(), 'if-none-match': z.string().max(1000).optional() }),
    response: null, success: { 200: 'The file', 206: 'The range', 304: 'The file has not changed' }, also: { 'application/octet-stream': 'Bytes of the file' },
    errors: ['ARTIFACT.NOT_FOUND', 'ARTIFACT.FILE_NOT_FOUND', 'ARTIFACT.MISSING_FILES', 'ARTIFACT.CORRUPT', 'STORE.UNAVAILABLE', 'REQUEST.RANGE'],
  },
  health: { method: 'GET', path: '/healthz', summary: 'The process runs', tag: 'service', auth: false, response: healthSchema, success: { 200: 'It does' }, errors: [] },
  ready: {
    method: 'GET', path: '/readyz', summary: 'The service can answer: its database does', tag: 'service', auth: false, response: healthSchema, success: { 200: 'It can' }, errors: ['SERVICE.NOT_READY'],
  },
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof routes;

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;
type Input<Schema> = Schema extends z.ZodType ? z.input<Schema> : undefined;
type Part<R, Key extends string> = R extends Readonly<Record<Key, infer Schema>> ? Schema : undefined;

/** What a handler gets of a request, after validation. */
export interface RequestOf<R extends Route> {
  readonly params: Output<Part<R, 'params'>>;
  readonly query: Output<Part<R, 'query'>>;
  readonly headers: Output<Part<R, 'headers'>>;
}
/** What a caller gives, before validation. */
export interface CallOf<R extends Route> {
  readonly params: Input<Part<R, 'params'>>;
  readonly query: Input<Part<R, 'query'>>;
  readonly body: Input<Part<R, 'body'>>;
}
/** The JSON answer. */
export type ResponseOf<R extends Route> = Output<R['response']>;

/** `path` with its parameters filled in; each is percent-encoded, of `*` every segment. */
export function pathOf(route: Route, params: Readonly<Record<string, string>>): string {
  return route.path.split('/').map((segment) => {
    const name = segment.startsWith(':') ? segment.slice(1) : segment === '*' ? '*' : null;
    if (name === null) return segment;
    const value = params[name];
    if (value === undefined || value === '') throw new TypeError(`${route.path} needs ${name}`);
    return name === '*' ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value);
  }).join('/');
}
