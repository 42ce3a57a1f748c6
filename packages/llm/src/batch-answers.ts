import { isCount, isObject, MalformedAnswer, readCompletion, type Completion } from './completion.ts';
import { clean } from './outcome.ts';

/** Reads what a Batch API says: batches, and the lines of their result files. Nothing about them is taken for granted. */

const statuses = ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'] as const;
type BatchStatus = (typeof statuses)[number];

export interface BatchState {
  readonly batchId: string;
  readonly status: BatchStatus;
  /** Requests with a result so far, by the provider's count. */
  readonly completed: number;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  /** Why the whole batch was refused. */
  readonly errors: readonly { readonly code: string; readonly text: string }[];
  /** Ours, given with the batch. */
  readonly mark: string | null;
  readonly createdAtMs: number | null;
}

export const hasEnded = ({ status }: BatchState): boolean => status === 'completed' || status === 'failed' || status === 'expired' || status === 'cancelled';

/** Name of the metadata field that holds the key of the work, and of the one that holds the id of the batch in our store. */
export const metadataNames = { key: 'sgpo_key', mark: 'sgpo_batch' } as const;

/** Throws MalformedAnswer. */
export function readBatch(body: unknown, secret: string | null): BatchState {
  if (!isObject(body)) throw new MalformedAnswer('the batch is not a JSON object');
  const status = statuses.find((known) => known === body['status']);
  if (status === undefined) throw new MalformedAnswer(`"status" is none of a batch: ${JSON.stringify(body['status'])}`);
  const counts = body['request_counts'];
  const done = isObject(counts) ? [counts['completed'], counts['failed']].filter(isCount) : [];
  const metadata = body['metadata'];
  const mark = isObject(metadata) ? metadata[metadataNames.mark] : null;
  const createdAt = body['created_at'];
  return {
    batchId: readId(body, 'id') ?? missingId('id'), status, completed: done.reduce((sum, n) => sum + n, 0),
    outputFileId: readId(body, 'output_file_id'), errorFileId: readId(body, 'error_file_id'), errors: readErrors(body['errors'], secret),
    mark: typeof mark === 'string' ? mark : null, createdAtMs: typeof createdAt === 'number' && Number.isFinite(createdAt) ? createdAt * 1000 : null,
  };
}

/** The id of an uploaded file. Throws MalformedAnswer. */
export function readFileId(body: unknown): string {
  if (!isObject(body)) throw new MalformedAnswer('the file is not a JSON object');
  return readId(body, 'id') ?? missingId('id');
}

function readErrors(errors: unknown, secret: string | null): BatchState['errors'] {
  const list: unknown = isObject(errors) ? errors['data'] : null;
  if (!Array.isArray(list)) return [];
  return list.slice(0, 3).filter(isObject).map(({ code, message, line }) => ({
    code: typeof code === 'string' ? code : '',
    text: clean(`${isCount(line) ? `line ${String(line)}: ` : ''}${typeof message === 'string' ? message : ''}${typeof code === 'string' ? ` (${code})` : ''}`, secret),
  }));
}

/** Ids stand in paths and in our database. */
function readId(body: Readonly<Record<string, unknown>>, name: string): string | null {
  const id = body[name];
  if (id === undefined || id === null) return null;
  if (typeof id !== 'string' || !/^[\w.:-]{1,256}$/.test(id)) throw new MalformedAnswer(`"${name}" is not an id`);
  return id;
}

function missingId(name: string): never { throw new MalformedAnswer(`"${name}" is missing`); }

/** What a line of a result file says of one request. `lost` may be answered when it is asked again. */
export type LineResult =
  | { readonly kind: 'answer'; readonly completion: Completion }
  | { readonly kind: 'rejected'; readonly detail: string; readonly unsupportedParameter: string | null }
  | { readonly kind: 'lost'; readonly detail: string };

/** null for a line that is no result of any request. */
export function readLine(line: string, secret: string | null): { readonly customId: string; readonly result: LineResult } | null {
  let value: unknown;
  try { value = JSON.parse(line); } catch { return null; }
  if (!isObject(value)) return null;
  const customId = value['custom_id'];
  return typeof customId === 'string' ? { customId, result: readResult(value, secret) } : null;
}

function readResult({ response, error }: Readonly<Record<string, unknown>>, secret: string | null): LineResult {
  if (!isObject(response)) return { kind: 'lost', detail: describe(error, secret) };
  const { status_code: status, body } = response;
  if (status === 200) {
    try {
      return { kind: 'answer', completion: readCompletion(body) };
    } catch (cause) {
      if (cause instanceof MalformedAnswer) return { kind: 'lost', detail: clean(cause.message, secret) };
      throw cause;
    }
  }
  const said = isObject(body) ? body['error'] : null;
  const detail = `HTTP ${String(status)}: ${describe(said ?? error, secret)}`;
  if (status !== 400 && status !== 413 && status !== 422) return { kind: 'lost', detail };
  const parameter = isObject(said) && said['code'] === 'unsupported_parameter' ? said['param'] : null;
  return { kind: 'rejected', detail, unsupportedParameter: typeof parameter === 'string' ? parameter : null };
}

function describe(error: unknown, secret: string | null): string {
  if (!isObject(error)) return 'no result and no reason';
  const { code, message } = error;
  return clean([message, typeof code === 'string' ? `(${code})` : ''].filter((part) => typeof part === 'string' && part !== '').join(' '), secret);
}
