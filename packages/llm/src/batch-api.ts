import { openAsBlob } from 'node:fs';
import { metadataNames, readBatch, readFileId, readLine, type BatchState, type LineResult } from './batch-answers.ts';
import { isObject, MalformedAnswer } from './completion.ts';
import type { Connection, ExchangeResult } from './connection.ts';
import { readLines } from './lines.ts';

/** The files and batches of an OpenAI-compatible server. Everything may be repeated but `create`, which looks for its batch first. Throws as Connection.call does. */
export interface BatchApi {
  /** Uploads a JSONL file. Returns its id. */
  upload(path: string, bytes: number, signal: AbortSignal): Promise<string>;
  /** Throws TEACHER.BATCH_FAILED when the server will not have it. */
  create(input: { readonly inputFileId: string; readonly key: string; readonly mark: string; readonly begunAtMs: number }, signal: AbortSignal): Promise<BatchState>;
  /** The batch that was created with the mark; null when there is none. */
  find(mark: string, begunAtMs: number, signal: AbortSignal): Promise<BatchState | null>;
  /** null when the server no longer has it. */
  retrieve(batchId: string, signal: AbortSignal): Promise<BatchState | null>;
  cancel(batchId: string, signal: AbortSignal): Promise<void>;
  /** Hands each line that names a request to `onResult`, as it comes; after a broken transfer, from the start again. Returns how many lines name none. */
  results(fileId: string, signal: AbortSignal, onResult: (customId: string, result: LineResult) => Promise<void>): Promise<number>;
}

/** Slowest upload that is waited for. */
const bytesPerMs = 100;
const pageSize = 100;
const maxPages = 50;
/** How far the clocks of the two sides may be apart. */
const clockSkewMs = 3_600_000;
/** A result file holds a line a request; more than this is no result file. */
const maxLines = 200_000;

export function createBatchApi(connection: Connection, secret: string | null): BatchApi {
  async function find(mark: string, begunAtMs: number, signal: AbortSignal): Promise<BatchState | null> {
    let after: string | null = null;
    for (let page = 0; page < maxPages; page += 1) {
      const cursor: { readonly after?: string } = after === null ? {} : { after };
      const { batches, more } = mustAnswer(connection, await connection.call({
        wanted: 'a list of batches', path: '/batches',
        send: async (client, settings) => readPage(await client.batches.list({ limit: pageSize, ...cursor }, settings), secret),
      }, signal));
      const found = batches.find((batch) => batch.mark === mark);
      if (found !== undefined) return found;
      const last = batches.at(-1);
      if (!more || last === undefined || (last.createdAtMs !== null && last.createdAtMs < begunAtMs - clockSkewMs)) return null;
      after = last.batchId;
    }
    return null;
  }

  return {
    find,

    async upload(path, bytes, signal) {
      const content = await openAsBlob(path, { type: 'application/jsonl' });
      return mustAnswer(connection, await connection.call({
        wanted: 'an uploaded file', path: '/files', extraMs: Math.ceil(bytes / bytesPerMs),
        send: async (client, settings) => readFileId(await client.files.create({ file: new File([content], 'requests.jsonl', { type: content.type }), purpose: 'batch' }, settings)),
      }, signal));
    },

    create: async ({ inputFileId, key, mark, begunAtMs }, signal) => mustAnswer(connection, await connection.call({
      wanted: 'a batch', path: '/batches',
      send: async (client, settings) => readBatch(await client.batches.create({
        input_file_id: inputFileId, endpoint: '/v1/chat/completions', completion_window: '24h', metadata: { [metadataNames.key]: key, [metadataNames.mark]: mark },
      }, settings), secret),
      lookUp: () => find(mark, begunAtMs, signal),
    }, signal)),

    async retrieve(batchId, signal) {
      const result = await connection.call({
        wanted: 'a batch', path: `/batches/${batchId}`, mayBeGone: true,
        send: async (client, settings) => readBatch(await client.batches.retrieve(batchId, settings), secret),
      }, signal);
      return result.kind === 'gone' ? null : mustAnswer(connection, result);
    },

    async cancel(batchId, signal) {
      await connection.call({
        wanted: 'a batch', path: `/batches/${batchId}/cancel`, mayBeGone: true,
        send: async (client, settings) => readBatch(await client.batches.cancel(batchId, settings), secret),
      }, signal);
    },

    async results(fileId, signal, onResult) {
      const result = await connection.call({
        wanted: 'a file of results', path: `/files/${fileId}/content`, mayBeGone: true, streamed: true,
        send: async (client, settings) => {
          const response = await client.files.content(fileId, settings);
          if (response.body === null) throw new MalformedAnswer('the file has no content');
          let lines = 0;
          let strange = 0;
          for await (const line of readLines(response.body, signal)) {
            if ((lines += 1) > maxLines) throw new MalformedAnswer(`the file has more than ${String(maxLines)} lines`);
            const read = readLine(line, secret);
            if (read === null) strange += 1;
            else await onResult(read.customId, read.result);
          }
          return strange;
        },
      }, signal);
      return result.kind === 'gone' ? 0 : mustAnswer(connection, result);
    },
  };
}

function readPage(page: unknown, secret: string | null): { readonly batches: readonly BatchState[]; readonly more: boolean } {
  if (!isObject(page) || !Array.isArray(page['data'])) throw new MalformedAnswer('"data" is no list');
  return { batches: page['data'].map((batch) => readBatch(batch, secret)), more: page['has_more'] === true };
}

function mustAnswer<T>(connection: Connection, result: ExchangeResult<T>): T {
  switch (result.kind) {
    case 'answer': return result.value;
    case 'rejected': throw connection.failure('TEACHER.BATCH_FAILED', `the Batch API refuses the request: ${result.detail}`, 'Check that the key may use the Batch API with teacher.model, or set teacher.mode to requests; paid answers are kept');
    case 'gone': throw new TypeError('only what may be gone is gone');
  }
}
