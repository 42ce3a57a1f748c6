import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerOf, lookUp, noAnswer, type KnownRequest, type TeacherRequest, type TeacherRequests } from './answers.ts';
import { createBatchFile, type BatchFileWriter, type BatchSize } from './batch-file.ts';
import { createBatchWork, type BatchDependencies, type BatchWork, type SentBatch } from './batch-work.ts';
import type { BudgetGate, Reservation } from './budget.ts';
import type { OnAnswer } from './request-mode.ts';
import { noTokens, worstOf, type Tokens } from './tokens.ts';
import { createUsageMeter, type TeacherUsage, type UsageMeter } from './usage.ts';

interface BatchModeDependencies extends BatchDependencies {
  readonly budget: BudgetGate;
  readonly total: UsageMeter;
  readonly size: BatchSize;
  /** Tells the reasons of a signal that end the work for good: its batches are then canceled at the provider. After any other they go on there. */
  readonly isCanceled: (reason: unknown) => boolean;
  /** How long a cancel waits for the provider to end a batch. */
  readonly cancelGraceMs: number;
}

/** All rows that the ledger lacks, in batches of the provider's Batch API, round by round until each has an answer or `maxAttempts` rounds have passed. */
export interface BatchMode {
  askAll(requests: () => TeacherRequests, signal: AbortSignal, onAnswer: OnAnswer, onProgress: (done: number) => void): Promise<TeacherUsage>;
}

/** Rounds that only waited for room in the provider's queue, five minutes each: two days. */
const maxQueueFull = 576;

export function createBatchMode(dependencies: BatchModeDependencies): BatchMode {
  const { options, ledger, store, connection, endpoint, budget, total, size, isCanceled, cancelGraceMs } = dependencies;

  /** The same for the same rows at the same place, whatever the ledger holds of them: under it, their batches are found again. */
  async function survey(requests: TeacherRequests): Promise<{ readonly key: string; readonly known: number }> {
    const hash = createHash('sha256').update(JSON.stringify([options.baseUrl, options.apiKey]), 'utf8');
    let known = 0;
    for await (const block of lookUp(options, ledger, requests)) {
      for (const { key, entry } of block) {
        hash.update(key);
        if (entry !== null) known += 1;
      }
    }
    return { key: hash.digest('hex'), known };
  }

  /** Requests without an answer that are not on their way, each once. */
  async function* missing(work: BatchWork, requests: TeacherRequests): AsyncGenerator<readonly KnownRequest<TeacherRequest>[]> {
    for await (const block of lookUp(options, ledger, requests)) {
      const seen = new Set<string>();
      const rows = block.filter(({ key, entry }) => {
        if (entry !== null || seen.has(key) || work.rejected.has(key) || work.inFlight.has(key)) return false;
        seen.add(key);
        return true;
      });
      if (rows.length > 0) yield rows;
    }
  }

  /** Collects what an earlier process began. Which rows its batches hold, it knew alone: any that has no answer may be among them. */
  async function collectOpen(work: BatchWork, key: string, requests: TeacherRequests, signal: AbortSignal, onProgress: (completed: number) => void): Promise<void> {
    const rows = await store.open(key);
    if (rows.length === 0) return;
    const batches: SentBatch[] = [];
    for (const row of rows) {
      const batch = await work.resume(row, signal);
      if (batch !== null) batches.push(batch);
    }
    let sent = batches.reduce((sum, batch) => sum + batch.requests, 0);
    for await (const block of missing(work, requests)) {
      for (const { key: one, request } of block) work.inFlight.set(one, budget.hold((sent -= 1) >= 0 ? worstOf(options, request.messages) : noTokens));
    }
    for (const batch of batches) await work.finish(batch, signal, onProgress);
    work.release([...work.inFlight.keys()]);
  }

  /** What fits the budget, in the order of the rows. `waits`: nothing of this call is on its way that the budget could wait for. */
  async function reserve(worst: readonly Tokens[], waits: boolean, signal: AbortSignal): Promise<readonly Reservation[]> {
    const granted = await budget.reserveFirst(worst);
    const [first, ...others] = worst;
    if (granted.length > 0 || !waits || first === undefined) return granted;
    return [await budget.reserve(first, signal), ...await budget.reserveFirst(others)];
  }

  /** Hands one round of batches to the provider. `denied`: the first request that the budget has no room for. */
  async function submitMissing(work: BatchWork, requests: TeacherRequests, folder: string, signal: AbortSignal): Promise<{ readonly batches: readonly SentBatch[]; readonly denied: Tokens | null }> {
    const batches: SentBatch[] = [];
    let file: BatchFileWriter | null = null;
    const create = (): Promise<BatchFileWriter> => createBatchFile(folder, options, endpoint.limitName, size);
    try {
      for await (const rows of missing(work, requests)) {
        const worst = rows.map(({ request }) => worstOf(options, request.messages));
        const granted = await reserve(worst, batches.length === 0 && file === null, signal);
        for (const [index, { key, request }] of rows.entries()) {
          const reservation = granted[index];
          if (reservation === undefined) break;
          work.inFlight.set(key, reservation);
          file ??= await create();
          if (await file.add(key, request)) continue;
          batches.push(await work.submit(await file.close(), signal));
          file = await create();
          await file.add(key, request);
        }
        const denied = worst[granted.length];
        if (denied === undefined) continue;
        if (file !== null) batches.push(await work.submit(await file.close(), signal));
        return { batches, denied };
      }
      if (file !== null) batches.push(await work.submit(await file.close(), signal));
      return { batches, denied: null };
    } finally {
      await file?.close();
    }
  }

  async function ask(work: BatchWork, requests: () => TeacherRequests, folder: string, signal: AbortSignal, onProgress: (completed: number) => void): Promise<void> {
    let queueFull = 0;
    for (let round = 1; round <= options.maxAttempts;) {
      const { batches, denied } = await submitMissing(work, requests(), folder, signal);
      let lost = 0;
      let full = false;
      for (const batch of batches) {
        full = await work.finish(batch, signal, onProgress) === 'queue_full' || full;
        lost += work.release(batch.keys);
      }
      if (full && (queueFull += 1) < maxQueueFull) continue;
      if (lost === 0 && denied === null) return;
      // What the answers left of what was set aside, or a budget that was raised meanwhile, may be room for more: the next round asks.
      if (lost === 0) continue;
      round += 1;
      if (round > options.maxAttempts && denied !== null) throw await budget.reached(denied);
      if (round > options.maxAttempts && work.paid.size === 0) {
        throw connection.failure('TEACHER.BATCH_FAILED', `none of ${String(lost)} requests was answered in ${String(options.maxAttempts)} rounds of batches; the last: ${work.lastLoss()}`, 'See what the provider says about its batches; raise teacher.maxAttempts, or set teacher.mode to requests');
      }
    }
  }

  async function run(key: string, known: number, requests: () => TeacherRequests, signal: AbortSignal, onAnswer: OnAnswer, onProgress: (done: number) => void): Promise<TeacherUsage> {
    const used = createUsageMeter(options);
    const meters = [used, total];
    const work = createBatchWork(dependencies, key, meters);
    const report = (completed: number): void => { onProgress(known + work.paid.size + work.rejected.size + completed); };
    const folder = await mkdtemp(join(tmpdir(), 'sgpo-batch-'));
    try {
      await collectOpen(work, key, requests(), signal, report);
      await ask(work, requests, folder, signal, report);
    } catch (error) {
      if (signal.aborted && isCanceled(signal.reason)) await work.cancel(AbortSignal.timeout(cancelGraceMs));
      throw error;
    } finally {
      work.release([...work.inFlight.keys()]);
      await rm(folder, { recursive: true, force: true });
    }
    const fresh = new Set(work.paid);
    for await (const block of lookUp(options, ledger, requests())) {
      for (const { request, key: one, entry } of block) {
        signal.throwIfAborted();
        const reused = entry !== null && !fresh.delete(one);
        if (reused) for (const meter of meters) meter.addReused();
        await onAnswer(request.id, entry === null ? noAnswer(work.rejected.has(one) ? 'teacher_rejected' : 'teacher_failed') : answerOf(entry, reused));
      }
    }
    return used.read();
  }

  return {
    async askAll(requests, signal, onAnswer, onProgress) {
      const { key, known } = await survey(requests());
      return endpoint.exclusive(`batches of ${key}`, signal, () => run(key, known, requests, signal, onAnswer, onProgress));
    },
  };
}
