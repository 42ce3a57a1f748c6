import type { OutboxRow } from '@sgpo/database';
import { z } from 'zod';

const id = z.string().min(1);

/** What the jobs of each queue carry: ids alone, so that a job that comes late or twice finds the truth in the database. */
export const payloadSchemas = {
  /** Moves a run on. */
  advance: z.strictObject({ runId: id }),
  /** Gives ready tasks to free slots. */
  place: z.strictObject({}),
  /** Starts an attempt on its worker and follows it. */
  follow: z.strictObject({ attemptId: id }),
  /** Runs a local task. */
  local: z.strictObject({ taskId: id }),
  /** Reads a data set for its registration. */
  register: z.strictObject({ datasetId: id }),
} as const satisfies Record<OutboxRow['queue'], z.ZodType>;

export type QueueName = keyof typeof payloadSchemas;
export const queueNames = Object.keys(payloadSchemas) as readonly QueueName[];
export type Payload<Name extends QueueName> = z.infer<(typeof payloadSchemas)[Name]>;
