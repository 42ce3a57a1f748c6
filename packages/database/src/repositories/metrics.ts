import type { Client } from '../client.ts';
import type { MetricRepository, MetricRow } from '../repositories.ts';

export function createMetricRepository(client: Client): MetricRepository {
  return {
    // A cached task has no points of its own: those of the task it reuses are shown under the step of this run.
    ofRun: (runId) => client.$queryRaw<MetricRow[]>`
      SELECT DISTINCT ON ("stepKey", name, step) "stepKey", name, step, value FROM (
        SELECT step_key AS "stepKey", name, step, value, 0 AS rank FROM metric WHERE run_id = ${runId}
        UNION ALL
        SELECT own_step.key, metric.name, metric.step, metric.value, 1
        FROM task own JOIN step own_step ON own_step.id = own.step_id
          JOIN task other ON other.id = own.reuses JOIN step other_step ON other_step.id = other.step_id
          JOIN metric ON metric.run_id = other.run_id AND metric.step_key = other_step.key
        WHERE own.run_id = ${runId}
      ) AS point ORDER BY "stepKey", name, step, rank`,
  };
}
