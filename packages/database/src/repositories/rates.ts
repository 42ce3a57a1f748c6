import { stepKinds, type StepKind } from '@sgpo/core';
import type { Client } from '../client.ts';
import type { RateRepository, RateRow } from '../repositories.ts';

const newestTasks = 200;
const timedKinds = (Object.keys(stepKinds) as StepKind[]).filter((kind) => stepKinds[kind].where === 'worker' || kind === 'teach');
/** A training works on the rows of its data set that are left in it, the others on every row they are given. */
const trainings: readonly StepKind[] = ['sft', 'dpo'];

export function createRateRepository(client: Client): RateRepository {
  return {
    // Steps newest first by their index (kind, started_at), so that no more than the newest tasks of a kind are read. A second attempt may have found part of its work done.
    recent: () => client.$queryRaw<RateRow[]>`
      SELECT kind, sum(rows)::float8 AS rows, sum(seconds)::float8 AS seconds, count(*)::int AS tasks
      FROM unnest(${timedKinds}::text[]) AS timed(kind) CROSS JOIN LATERAL (
        SELECT CASE WHEN step.kind = ANY(${trainings}::text[]) THEN task.rows_out ELSE task.rows_in END AS rows, extract(epoch FROM attempt.ended_at - attempt.started_at) AS seconds
        FROM step JOIN task ON task.step_id = step.id JOIN attempt ON attempt.task_id = task.id AND attempt.state = 'succeeded'
        WHERE step.kind = timed.kind AND step.started_at IS NOT NULL AND task.state = 'succeeded' AND task.role <> 'merge' AND task.attempts = 1
        ORDER BY step.started_at DESC, task.index DESC LIMIT ${newestTasks}
      ) AS newest GROUP BY kind ORDER BY kind`,
  };
}
