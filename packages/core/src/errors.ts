/**
 * The error catalogue: every failure a user can meet has one entry here.
 * `http` is what REST answers, `retry` what the orchestrator does about a failed attempt:
 * never (spec or data cannot work), backoff (worker, disk, network; bounded), wait (throttled: the owner of the call waits and asks again),
 * pause (the run waits for its owner).
 */
export type RetryDecision = 'never' | 'backoff' | 'wait' | 'pause';

interface CatalogueEntry { readonly http: number; readonly retry: RetryDecision; readonly title: string }

export const errorCatalogue = {
  'REQUEST.INVALID': { http: 400, retry: 'never', title: 'The request is not valid' },
  'REQUEST.NOT_JSON': { http: 400, retry: 'never', title: 'The body is not JSON' },
  'REQUEST.TOO_LARGE': { http: 413, retry: 'never', title: 'The body is too large' },
  'REQUEST.UNSUPPORTED_MEDIA_TYPE': { http: 415, retry: 'never', title: 'The content type is not supported' },
  'REQUEST.RANGE': { http: 416, retry: 'never', title: 'The range cannot be satisfied' },
  'REQUEST.RATE_LIMITED': { http: 429, retry: 'wait', title: 'Too many requests' },
  'REQUEST.ABANDONED': { http: 400, retry: 'never', title: 'The caller went away' },
  'AUTH.MISSING': { http: 401, retry: 'never', title: 'A bearer token is needed' },
  'AUTH.INVALID': { http: 401, retry: 'never', title: 'The bearer token is not valid' },
  'ROUTE.NOT_FOUND': { http: 404, retry: 'never', title: 'No such route' },
  'RUN.NOT_FOUND': { http: 404, retry: 'never', title: 'No such run' },
  'RUN.FINISHED': { http: 409, retry: 'never', title: 'The run has already ended' },
  'RUN.NO_REPORT': { http: 404, retry: 'never', title: 'The run has no report yet' },
  'RUN.IDEMPOTENCY_CONFLICT': { http: 409, retry: 'never', title: 'The Idempotency-Key was used with another body' },
  'RUN.NOT_PAUSED': { http: 409, retry: 'never', title: 'The run is not paused' },
  'RUN.BUDGET_SPENT': { http: 409, retry: 'never', title: 'The budget is still spent' },
  'RUN.NOT_SUCCEEDED': { http: 409, retry: 'never', title: 'The run has not succeeded' },
  'RUN.NO_SUCH_MODEL': { http: 400, retry: 'never', title: 'The run has no such model' },
  'RUN.CANCELED': { http: 409, retry: 'never', title: 'The run was canceled' },
  'STUDY.NOT_FOUND': { http: 404, retry: 'never', title: 'No such study' },
  'STUDY.INVALID': { http: 400, retry: 'never', title: 'The study is not valid' },
  'ARTIFACT.NOT_FOUND': { http: 404, retry: 'never', title: 'No such artifact' },
  'ARTIFACT.FILE_NOT_FOUND': { http: 404, retry: 'never', title: 'The artifact has no such file' },
  'ARTIFACT.MISSING_FILES': { http: 500, retry: 'backoff', title: 'Files of an artifact are gone from the store' },
  'ARTIFACT.CORRUPT': { http: 500, retry: 'never', title: 'A stored file differs from its manifest' },
  'ARTIFACT.MIXED_ENGINES': { http: 409, retry: 'never', title: 'Scores of different engines are never mixed' },
  'SPEC.INVALID': { http: 400, retry: 'never', title: 'The run spec is not valid' },
  'SPEC.UNKNOWN_PRESET': { http: 400, retry: 'never', title: 'No such preset' },
  'SPEC.CONFLICT': { http: 400, retry: 'never', title: 'Options of the spec contradict each other' },
  'DATASET.NOT_FOUND': { http: 400, retry: 'never', title: 'The data set does not exist' },
  'DATASET.NOT_ALLOWED': { http: 400, retry: 'never', title: 'The data set lies outside the allowed folders' },
  'DATASET.EMPTY': { http: 400, retry: 'never', title: 'The data set has no rows' },
  'DATASET.UNREADABLE': { http: 400, retry: 'never', title: 'The data set cannot be read' },
  'DATASET.MALFORMED_LINE': { http: 400, retry: 'never', title: 'A line of the data set is not JSON' },
  'DATASET.WRONG_COLUMNS': { http: 400, retry: 'never', title: 'The data set has not the columns it needs' },
  'DATASET.CHANGED': { http: 409, retry: 'never', title: 'The data set has changed since it was registered' },
  'DATASET.NAME_TAKEN': { http: 409, retry: 'never', title: 'A data set of that name is registered already' },
  'DATASET.NOT_READY': { http: 409, retry: 'never', title: 'The data set is not registered yet' },
  'DATASET.UNKNOWN': { http: 404, retry: 'never', title: 'No such registered data set' },
  'DATASET.REMOTE_UNREACHABLE': { http: 502, retry: 'backoff', title: 'The place of the data set does not answer' },
  'DATASET.REMOTE_REFUSED': { http: 400, retry: 'never', title: 'The place of the data set refuses access' },
  'DATASET.NO_ROWS_LEFT': { http: 400, retry: 'never', title: 'No usable row is left' },
  'MODEL.NOT_FOUND': { http: 400, retry: 'never', title: 'The model folder does not exist' },
  'MODEL.NOT_ALLOWED': { http: 400, retry: 'never', title: 'The model lies outside the allowed folders' },
  'MODEL.INVALID_FOLDER': { http: 400, retry: 'never', title: 'The folder is not a usable model' },
  'MODEL.NO_CHAT_TEMPLATE': { http: 400, retry: 'never', title: 'The model has no chat template' },
  'TEACHER.URL_NOT_ALLOWED': { http: 400, retry: 'never', title: 'The teacher address is not allowed' },
  'TEACHER.KEY_MISSING': { http: 400, retry: 'never', title: 'The environment variable with the teacher key is not set' },
  'TEACHER.UNREACHABLE': { http: 502, retry: 'never', title: 'The teacher cannot be reached' },
  'TEACHER.REFUSED': { http: 502, retry: 'never', title: 'The teacher refuses the request' },
  'TEACHER.BAD_ANSWER': { http: 502, retry: 'never', title: 'The teacher does not speak the OpenAI protocol' },
  'TEACHER.BUDGET_REACHED': { http: 409, retry: 'pause', title: 'The budget of the run is spent' },
  'TEACHER.BATCH_FAILED': { http: 502, retry: 'never', title: 'The teacher failed a batch' },
  'TEACHER.THROTTLED': { http: 503, retry: 'wait', title: 'The teacher asks to wait' },
  'TASK.RETRIES_EXHAUSTED': { http: 500, retry: 'never', title: 'The task failed too often' },
  'TRAIN.REFERENCE_MISMATCH': { http: 500, retry: 'never', title: 'Policy and reference disagree at step 0' },
  'TRAIN.OUT_OF_MEMORY': { http: 500, retry: 'never', title: 'Out of memory at the smallest micro-batch' },
  'TRAIN.DIVERGED': { http: 500, retry: 'never', title: 'The training diverged' },
  'WORKER.UNREACHABLE': { http: 503, retry: 'backoff', title: 'The worker does not answer' },
  'WORKER.LOST': { http: 503, retry: 'backoff', title: 'The worker was lost with the task' },
  'WORKER.REJECTED': { http: 500, retry: 'never', title: 'The worker refuses the task' },
  'WORKER.FAILED': { http: 500, retry: 'backoff', title: 'The task failed on the worker' },
  'STORE.UNAVAILABLE': { http: 503, retry: 'backoff', title: 'The artifact store does not answer' },
  'STORE.FULL': { http: 507, retry: 'backoff', title: 'The disk of the artifact store is full' },
  'SERVICE.NOT_READY': { http: 503, retry: 'wait', title: 'The service is not ready' },
  'SERVICE.INTERNAL': { http: 500, retry: 'backoff', title: 'Something failed inside the service' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorCatalogue, code);

/** One thing wrong with an input: where, what was there, what to do. */
export interface Problem { readonly field: string; readonly value?: unknown; readonly message: string; readonly fix: string }

/** How a failure is stored with a task or a run, and shown to users. Codes of workers may lie outside the catalogue. */
export interface Failure { readonly code: string; readonly message: string; readonly remedy: string; readonly problems?: readonly Problem[] }

/**
 * The one error class of the product. `message` and `remedy` may reach a client; `cause` never does.
 */
export class SgpoError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, options: { readonly remedy: string; readonly problems?: readonly Problem[]; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SgpoError';
    this.code = code;
    this.remedy = options.remedy;
    this.problems = options.problems ?? [];
  }

  get entry(): CatalogueEntry { return errorCatalogue[this.code]; }

  toFailure(): Failure {
    return { code: this.code, message: this.message, remedy: this.remedy, ...(this.problems.length > 0 ? { problems: this.problems } : {}) };
  }
}

/** What is stored when something that is not an SgpoError ends a task: the text stays in the logs, never in an answer. */
export function failureOf(error: unknown): Failure {
  if (error instanceof SgpoError) return error.toFailure();
  return { code: 'SERVICE.INTERNAL', message: 'Something failed inside the service', remedy: 'See the log of the process that ran the step; retry the run' };
}
