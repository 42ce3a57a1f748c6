import { SgpoError, type EndpointTeacher } from '@sgpo/core';
import { ledgerEntryOf } from './answers.ts';
import { hasEnded, type BatchState, type LineResult } from './batch-answers.ts';
import type { BatchApi } from './batch-api.ts';
import type { BatchFile } from './batch-file.ts';
import type { BatchStore, OpenBatch } from './batch-store.ts';
import type { Reservation } from './budget.ts';
import { allRejected } from './caller.ts';
import type { Connection } from './connection.ts';
import type { Ledger } from './ledger.ts';
import type { Endpoint, Verdict } from './limits.ts';
import type { UsageMeter } from './usage.ts';
import { pauseFor, pollMs, type Sleep } from './waiting.ts';

/** Something happened to a batch; for the log. */
export interface BatchNote { readonly event: 'submitted' | 'resumed' | 'ended' | 'gone' | 'queue_full' | 'not_canceled'; readonly batchId: string | null; readonly requests: number; readonly detail: string }

export interface BatchDependencies {
  readonly options: EndpointTeacher;
  readonly ledger: Ledger;
  readonly store: BatchStore;
  readonly api: BatchApi;
  readonly connection: Connection;
  readonly endpoint: Endpoint;
  readonly verdict: Verdict;
  readonly sleep: Sleep;
  readonly nowMs: () => number;
  readonly onNote: (note: BatchNote) => void;
}

/** A batch the provider has. `keys`: what was asked in it; empty when an earlier process asked. */
export interface SentBatch { readonly id: string; readonly batchId: string; readonly requests: number; readonly keys: readonly string[] }

/** The batches of one call of askAll: what is on its way, and what came back. */
export interface BatchWork {
  /** What may be answered now, with what is set aside for it. */
  readonly inFlight: Map<string, Reservation>;
  readonly paid: ReadonlySet<string>;
  readonly rejected: ReadonlySet<string>;
  /** Why the last request without an answer has none. */
  lastLoss(): string;
  submit(file: BatchFile, signal: AbortSignal): Promise<SentBatch>;
  /** The batch of a row of the store; null, and the row closed, when the provider never got it. */
  resume(row: OpenBatch, signal: AbortSignal): Promise<SentBatch | null>;
  /**
   * Polls until the batch ends, and records its answers. `queue_full`: the provider would not queue it yet, and the pause is over.
   * Throws TEACHER.BATCH_FAILED when it refused the whole batch.
   */
  finish(batch: SentBatch, signal: AbortSignal, onProgress: (completed: number) => void): Promise<'collected' | 'queue_full'>;
  /** Cancels what is open at the provider, and keeps what it has finished. */
  cancel(signal: AbortSignal): Promise<void>;
  /** Lets go of what is still set aside for the keys; returns for how many. */
  release(keys: Iterable<string>): number;
}

const queueFullPauseMs = 300_000;
/** A batch takes hours, and goes on while its provider cannot be reached: looks in a row that may fail, about an hour of them. */
const maxBlindPolls = 60;

export function createBatchWork({ options, ledger, store, api, connection, endpoint, verdict, sleep, nowMs, onNote }: BatchDependencies, key: string, meters: readonly UsageMeter[]): BatchWork {
  const inFlight = new Map<string, Reservation>();
  const paid = new Set<string>();
  const rejected = new Set<string>();
  let lastLoss = 'no result';

  /** A line of a result file. One about a request that is not on its way is not ours, or comes twice. */
  async function take(customId: string, result: LineResult): Promise<void> {
    const reservation = inFlight.get(customId);
    if (reservation === undefined) return;
    switch (result.kind) {
      case 'lost':
        lastLoss = result.detail;
        return;
      case 'answer':
        await ledger.record(customId, options.model, ledgerEntryOf(result.completion));
        for (const meter of meters) meter.addPaid(result.completion);
        paid.add(customId);
        inFlight.delete(customId);
        verdict.answered();
        reservation.settle(result.completion.tokens === null ? 'uncounted' : undefined);
        return;
      case 'rejected':
        lastLoss = result.detail;
        if (result.unsupportedParameter === 'max_tokens') { endpoint.limitName = 'max_completion_tokens'; return; }
        rejected.add(customId);
        inFlight.delete(customId);
        reservation.settle();
        if (verdict.rejected()) throw allRejected(connection, result.detail);
    }
  }

  /** Answers first: rejections tell about the options only where nothing was answered. */
  async function collect(batch: SentBatch, state: BatchState, signal: AbortSignal): Promise<void> {
    let strange = 0;
    try {
      for (const fileId of [state.outputFileId, state.errorFileId]) {
        if (fileId !== null) strange += await api.results(fileId, signal, take);
      }
    } catch (error) {
      // All was rejected: to collect it again would tell the same for ever.
      if (error instanceof SgpoError && error.code === 'TEACHER.REFUSED') await store.close(batch.id, 'failed');
      throw error;
    }
    for (const meter of meters) meter.addBatch();
    await store.close(batch.id, 'collected');
    onNote({ event: 'ended', batchId: batch.batchId, requests: batch.requests, detail: strange === 0 ? state.status : `${state.status}; ${String(strange)} lines that name no request` });
  }

  async function untilEnded(batchId: string, signal: AbortSignal, onProgress: (completed: number) => void): Promise<BatchState | null> {
    let blind = 0;
    for (let nth = 1; ; nth += 1) {
      try {
        const state = await api.retrieve(batchId, signal);
        if (state === null || hasEnded(state)) return state;
        blind = 0;
        onProgress(state.completed);
      } catch (error) {
        const mayPass = error instanceof SgpoError && (error.code === 'TEACHER.UNREACHABLE' || error.code === 'TEACHER.THROTTLED');
        if (!mayPass || (blind += 1) >= maxBlindPolls) throw error;
      }
      await pauseFor(pollMs(nth), signal, sleep);
    }
  }

  async function resume(row: OpenBatch, signal: AbortSignal): Promise<SentBatch | null> {
    const found = row.batchId ?? (await api.find(row.id, row.createdAt.getTime(), signal))?.batchId ?? null;
    if (found === null) {
      await store.close(row.id, 'failed');
      return null;
    }
    onNote({ event: 'resumed', batchId: found, requests: row.requests, detail: row.batchId === null ? 'found at the provider' : 'known' });
    return { id: row.id, batchId: found, requests: row.requests, keys: [] };
  }

  return {
    inFlight, paid, rejected, resume, lastLoss: () => lastLoss,

    async submit(file, signal) {
      const inputFileId = await api.upload(file.path, file.bytes, signal);
      const requests = file.keys.length;
      const id = await store.begin({ key, requests });
      let state: BatchState;
      try {
        state = await api.create({ inputFileId, key, mark: id, begunAtMs: nowMs() }, signal);
      } catch (error) {
        // The provider said no: there is no batch to look for. After anything else there may be one.
        if (error instanceof SgpoError && (error.code === 'TEACHER.BATCH_FAILED' || error.code === 'TEACHER.REFUSED')) await store.close(id, 'failed');
        throw error;
      }
      await store.submitted(id, { batchId: state.batchId, inputFileId });
      onNote({ event: 'submitted', batchId: state.batchId, requests, detail: `${String(file.bytes)} bytes` });
      return { id, batchId: state.batchId, requests, keys: file.keys };
    },

    async finish(batch, signal, onProgress) {
      const state = await untilEnded(batch.batchId, signal, onProgress);
      if (state === null) {
        lastLoss = 'the provider no longer has the batch';
        onNote({ event: 'gone', batchId: batch.batchId, requests: batch.requests, detail: lastLoss });
        await store.close(batch.id, 'failed');
        return 'collected';
      }
      if (state.status !== 'failed') {
        if (state.status !== 'completed') lastLoss = `the batch is ${state.status}`;
        await collect(batch, state, signal);
        return 'collected';
      }
      await store.close(batch.id, 'failed');
      const reasons = state.errors.length === 0 ? 'it gives no reason' : state.errors.map(({ text }) => text).join('; ');
      if (!state.errors.some(({ code }) => code === 'token_limit_exceeded')) {
        throw connection.failure('TEACHER.BATCH_FAILED', `batch ${batch.batchId} of ${String(batch.requests)} requests was refused: ${reasons}`, 'Check teacher.model and whether the key may use the Batch API with it, or set teacher.mode to requests; paid answers are kept');
      }
      onNote({ event: 'queue_full', batchId: batch.batchId, requests: batch.requests, detail: reasons });
      await pauseFor(queueFullPauseMs, signal, sleep);
      return 'queue_full';
    },

    async cancel(signal) {
      for (const row of await store.open(key)) {
        try {
          const batch = await resume(row, signal);
          if (batch === null) continue;
          const now = await api.retrieve(batch.batchId, signal);
          if (now !== null && !hasEnded(now)) await api.cancel(batch.batchId, signal);
          const state = await untilEnded(batch.batchId, signal, () => undefined);
          if (state === null) await store.close(batch.id, 'failed');
          else await collect(batch, state, signal);
        } catch (error) {
          // The row stays open: whoever asks for the same rows again collects what it brought.
          onNote({ event: 'not_canceled', batchId: row.batchId, requests: row.requests, detail: error instanceof Error ? error.message : String(error) });
        }
      }
    },

    release(keys) {
      let released = 0;
      for (const one of keys) {
        const reservation = inFlight.get(one);
        if (reservation === undefined) continue;
        inFlight.delete(one);
        reservation.settle();
        released += 1;
      }
      return released;
    },
  };
}
