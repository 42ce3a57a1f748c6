import { problemDocumentSchema } from '@sgpo/contracts';
import { ApiError } from './errors.ts';

export interface Connection {
  /** Address of the API without a trailing slash. */
  readonly baseUrl: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  /** Longest wait for an answer to begin, in ms. */
  readonly timeoutMs: number;
}

export interface Call {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** Sends a call; resolves with a successful answer whose body has not been read. Throws ApiError, or the signal's own reason when it was aborted. */
export async function send(connection: Connection, call: Call): Promise<Response> {
  const timeout = new AbortController();
  const timer = setTimeout(() => { timeout.abort(); }, connection.timeoutMs);
  let response: Response;
  try {
    response = await connection.fetch(connection.baseUrl + call.path, {
      method: call.method,
      headers: { authorization: `Bearer ${connection.token}`, ...(call.body === undefined ? {} : { 'content-type': 'application/json' }), ...call.headers },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      // Redirects are refused: the token would travel along.
      redirect: 'error',
      signal: call.signal === undefined ? timeout.signal : AbortSignal.any([call.signal, timeout.signal]),
    });
  } catch (cause) {
    call.signal?.throwIfAborted();
    throw unreachable(connection, timeout.signal.aborted, cause);
  } finally {
    clearTimeout(timer);
  }
  if (response.ok) return response;
  throw await refusal(response);
}

/** The JSON body of an answer. CLIENT.BAD_ANSWER when it is none, CLIENT.UNREACHABLE when the connection breaks on the way. */
export async function readJson(connection: Connection, response: Response): Promise<unknown> {
  const text = await readText(connection, response);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw badAnswer(response.status, cause);
  }
}

/** The body as text. */
export async function readText(connection: Connection, response: Response): Promise<string> {
  try {
    return await response.text();
  } catch (cause) {
    throw unreachable(connection, false, cause);
  }
}

export function unreachable(connection: Connection, timedOut: boolean, cause: unknown): ApiError {
  if (timedOut) {
    return new ApiError({ status: null, code: 'CLIENT.TIMEOUT', detail: `${connection.baseUrl} did not answer within ${String(connection.timeoutMs / 1000)} s`, remedy: 'Look at the log of the API, then try again', cause });
  }
  const reason = reasonOf(cause);
  return new ApiError({
    status: null, code: 'CLIENT.UNREACHABLE', detail: `${connection.baseUrl} cannot be reached${reason === null ? '' : ` (${reason})`}`,
    remedy: 'Check that the service runs and that the address is right', cause,
  });
}

/** ECONNREFUSED and its like stand in the cause of fetch's TypeError. */
function reasonOf(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return null;
}

export function badAnswer(status: number, cause?: unknown): ApiError {
  return new ApiError({
    status, code: 'CLIENT.BAD_ANSWER', detail: `The answer (HTTP ${String(status)}) is not one of this API`, remedy: 'Check that the address is that of the API, of the same version as this client', cause,
  });
}

async function refusal(response: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await response.json();
  } catch (cause) {
    return badAnswer(response.status, cause);
  }
  const document = problemDocumentSchema.safeParse(body);
  if (!document.success) return badAnswer(response.status, document.error);
  const { code, detail, remedy, problems, requestId } = document.data;
  return new ApiError({ status: response.status, code, detail, remedy, requestId, problems: problems.map(({ field, value, message, fix }) => ({ field, ...(value === undefined ? {} : { value }), message, fix })) });
}
