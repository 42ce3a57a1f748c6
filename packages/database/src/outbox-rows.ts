import type { Transaction } from './client.ts';
import { toJson } from './json.ts';
import type { OutboxRow } from './repositories.ts';

/** Postgres channel that wakes relays. */
export const outboxChannel = 'outbox';

export interface NewJob { readonly queue: OutboxRow['queue']; readonly payload: Readonly<Record<string, string>>; readonly dueAt: Date }

/** Writes jobs for the relay and wakes it when the transaction commits. */
export async function addJobs(tx: Transaction, jobs: readonly NewJob[]): Promise<void> {
  if (jobs.length === 0) return;
  await tx.outbox.createMany({ data: jobs.map((job) => ({ queue: job.queue, payload: toJson(job.payload), dueAt: job.dueAt })) });
  await tx.$executeRaw`SELECT pg_notify(${outboxChannel}, '')`;
}
