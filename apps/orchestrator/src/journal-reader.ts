import type { AttemptReport, AttemptRow, Database } from '@sgpo/database';
import type { WorkerEvent } from '@sgpo/worker-client';

/** Takes a worker's journal over into Postgres in batches, in order; what was taken over is never repeated. */
export interface JournalReader {
  /** Sequence number to watch from. */
  sequence(): number;
  take(event: WorkerEvent): Promise<void>;
  /** Writes what is waiting. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

const flushEveryMs = 700;
/** A progress event for those who follow the stream; the task's own row is kept current by every batch. */
const progressEventEveryMs = 2_000;

export function createJournalReader(input: { readonly database: Database; readonly attempt: AttemptRow }): JournalReader {
  const { database, attempt } = input;
  let last = attempt.eventsSeen;
  let written = last;
  let metrics: { step: number; values: Readonly<Record<string, number>> }[] = [];
  let events: { type: 'task.phase' | 'task.log' | 'task.progress'; data: Record<string, unknown> }[] = [];
  let progress: AttemptReport['progress'];
  let lastFlush = 0;
  let lastProgressEvent = 0;
  let timer: NodeJS.Timeout | null = null;
  let writing = Promise.resolve();

  const flush = (): Promise<void> => {
    if (timer !== null) { clearTimeout(timer); timer = null; }
    if (last === written) return writing;
    if (progress !== undefined && Date.now() - lastProgressEvent > progressEventEveryMs) {
      lastProgressEvent = Date.now();
      events.push({ type: 'task.progress', data: { ...progress } });
    }
    const batch: AttemptReport = { lastSequence: last, metrics, events, ...(progress === undefined ? {} : { progress }) };
    written = last;
    metrics = [];
    events = [];
    progress = undefined;
    lastFlush = Date.now();
    writing = writing.then(() => database.attempts.report(attempt.id, batch));
    return writing;
  };

  return {
    sequence: () => last,
    async take(event) {
      if (event.sequence <= last) return;
      last = event.sequence;
      switch (event.kind) {
        case 'phase': events.push({ type: 'task.phase', data: { name: event.name } }); break;
        case 'log': events.push({ type: 'task.log', data: { level: event.level, message: event.message } }); break;
        case 'metrics': metrics.push({ step: event.step, values: event.values }); break;
        case 'progress': progress = { done: event.done, total: event.total, unit: event.unit }; break;
        case 'finished': break;
      }
      if (Date.now() - lastFlush > flushEveryMs) await flush();
      // Surfaces again in the next flush, which is awaited.
      else timer ??= setTimeout(() => { void flush().catch(() => undefined); }, flushEveryMs);
    },
    flush,
    close: async () => { await flush(); },
  };
}
