import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { BatchStore } from '../batch-store.ts';
import type { Ledger, LedgerAnswer } from '../ledger.ts';

/** A ledger and a store of batches that outlive a process that is killed. */
export function fileLedger(path: string): Ledger {
  const answers = new Map(recordedIn(path).map(({ key, answer }) => [key, answer]));
  return {
    find: (keys) => Promise.resolve(new Map(keys.flatMap((key) => { const answer = answers.get(key); return answer === undefined ? [] : [[key, answer] as const]; }))),
    record: (key, _model, answer) => {
      if (!answers.has(key)) { appendFileSync(path, `${JSON.stringify({ key, answer })}\n`); answers.set(key, answer); }
      return Promise.resolve();
    },
  };
}

/** What a ledger's file holds: whole lines. */
export function recordedIn(path: string): { readonly key: string; readonly answer: LedgerAnswer }[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { readonly key: string; readonly answer: LedgerAnswer });
}

interface StoredBatch { readonly id: string; readonly key: string; batchId: string | null; readonly requests: number; state: 'open' | 'collected' | 'failed'; readonly createdAt: string }

export function fileBatches(path: string): BatchStore {
  const rows = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) as StoredBatch[] : [];
  const save = (): Promise<void> => { writeFileSync(`${path}.new`, JSON.stringify(rows)); renameSync(`${path}.new`, path); return Promise.resolve(); };
  const row = (id: string): StoredBatch => { const found = rows.find((one) => one.id === id); if (found === undefined) throw new Error(`no batch ${id}`); return found; };
  return {
    open: (key) => Promise.resolve(rows.filter((one) => one.key === key && one.state === 'open').map((one) => ({ ...one, createdAt: new Date(one.createdAt) }))),
    begin: async ({ key, requests }) => {
      const id = `row-${String(rows.length)}`;
      rows.push({ id, key, batchId: null, requests, state: 'open', createdAt: new Date().toISOString() });
      await save();
      return id;
    },
    submitted: (id, { batchId }) => { row(id).batchId = batchId; return save(); },
    close: (id, state) => { row(id).state = state; return save(); },
  };
}
