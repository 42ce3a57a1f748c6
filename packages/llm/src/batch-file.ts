import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndpointTeacher } from '@sgpo/core';
import type { TeacherRequest } from './answers.ts';
import { chatBody } from './caller.ts';
import type { LimitName } from './limits.ts';

/** What one batch may hold at most. */
export interface BatchSize { readonly requests: number; readonly bytes: number }

/** OpenAI's limits. */
export const providerBatchSize: BatchSize = { requests: 50_000, bytes: 200_000_000 };

/** The requests of a batch in a file; their ledger keys are the custom_ids. */
export interface BatchFile { readonly path: string; readonly bytes: number; readonly keys: readonly string[] }

export interface BatchFileWriter {
  /** False when the file is full: the request belongs into the next. */
  add(key: string, request: TeacherRequest): Promise<boolean>;
  /** May be repeated. */
  close(): Promise<BatchFile>;
}

/** Replaces the file that lies in the folder from the batch before. */
export async function createBatchFile(folder: string, options: EndpointTeacher, limitName: LimitName, size: BatchSize): Promise<BatchFileWriter> {
  const path = join(folder, 'requests.jsonl');
  await rm(path, { force: true });
  const file: FileHandle = await open(path, 'wx', 0o600);
  const keys: string[] = [];
  let bytes = 0;
  return {
    async add(key, request) {
      const line = Buffer.from(`${JSON.stringify({ custom_id: key, method: 'POST', url: '/v1/chat/completions', body: chatBody(options, request, limitName) })}\n`, 'utf8');
      if (keys.length > 0 && (keys.length >= size.requests || bytes + line.length > size.bytes)) return false;
      await file.write(line);
      bytes += line.length;
      keys.push(key);
      return true;
    },
    async close() {
      await file.close();
      return { path, bytes, keys };
    },
  };
}
