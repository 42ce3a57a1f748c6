import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { hasCode } from '../cli-error.ts';

const recordSchema = z.object({
  specHash: z.string(),
  idempotencyKey: z.string(),
  /** null until the API has answered. */
  runId: z.string().nullable(),
  finished: z.boolean(),
  /** Token of the session, to be revoked when it is over. */
  tokenId: z.string().nullable(),
});
/** What the demo remembers from call to call, in `<home>/demo.json`. */
export type DemoRecord = z.infer<typeof recordSchema>;

const fileIn = (home: string): string => join(home, 'demo.json');

/** null when there is none, or one that cannot be understood: then the next run simply is a new one. */
export function readRecord(home: string): DemoRecord | null {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(fileIn(home), 'utf8'))).data ?? null;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || error instanceof SyntaxError) return null;
    throw error;
  }
}

export function writeRecord(home: string, record: DemoRecord): void {
  const fresh = `${fileIn(home)}.new`;
  writeFileSync(fresh, JSON.stringify(record));
  renameSync(fresh, fileIn(home));
}

export interface Launch {
  readonly idempotencyKey: string;
  /** An unfinished run with this spec exists: the key leads back to it. */
  readonly resumes: boolean;
  /** An unfinished run of another spec, which would take the worker from this one. */
  readonly cancelFirst: string | null;
}

/** Goes on with the run of the same spec that was interrupted, else begins a new one. */
export function chooseLaunch(record: DemoRecord | null, specHash: string, createKey: () => string = randomUUID): Launch {
  if (record === null || record.finished) return { idempotencyKey: createKey(), resumes: false, cancelFirst: null };
  if (record.specHash === specHash) return { idempotencyKey: record.idempotencyKey, resumes: true, cancelFirst: null };
  return { idempotencyKey: createKey(), resumes: false, cancelFirst: record.runId };
}
