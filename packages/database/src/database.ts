import { createClient } from './client.ts';
import type { Database } from './repositories.ts';
import { createArtifactRepository } from './repositories/artifacts.ts';
import { createAttemptRepository } from './repositories/attempts.ts';
import { createDatasetRepository } from './repositories/datasets.ts';
import { createEventRepository } from './repositories/events.ts';
import { createLedgerRepository } from './repositories/ledger.ts';
import { createMetricRepository } from './repositories/metrics.ts';
import { createOutboxRepository } from './repositories/outbox.ts';
import { createRateRepository } from './repositories/rates.ts';
import { createRunRepository } from './repositories/runs.ts';
import { createStepRepository } from './repositories/steps.ts';
import { createStudyRepository } from './repositories/studies.ts';
import { createTaskRepository } from './repositories/tasks.ts';
import { createTeacherBatchRepository } from './repositories/teacher-batches.ts';
import { createTokenRepository } from './repositories/tokens.ts';
import { createWorkerRepository } from './repositories/workers.ts';
import { withCleanArguments } from './text.ts';

const defaultPoolSize = 10;

/**
 * The database behind `url` (postgres://…), which `migrate` has brought to its present schema. Connects when first used.
 * `poolSize`: most connections at once, not counting one for each `outbox.listen`.
 */
export function createDatabase({ url, poolSize = defaultPoolSize }: { readonly url: string; readonly poolSize?: number }): Database {
  const client = createClient(url, poolSize);
  return {
    runs: withCleanArguments(createRunRepository(client)),
    steps: withCleanArguments(createStepRepository(client)),
    tasks: withCleanArguments(createTaskRepository(client)),
    attempts: withCleanArguments(createAttemptRepository(client)),
    workers: withCleanArguments(createWorkerRepository(client)),
    artifacts: withCleanArguments(createArtifactRepository(client)),
    events: withCleanArguments(createEventRepository(client)),
    metrics: withCleanArguments(createMetricRepository(client)),
    // Its answers are kept as they came.
    ledger: createLedgerRepository(client),
    batches: withCleanArguments(createTeacherBatchRepository(client)),
    studies: withCleanArguments(createStudyRepository(client)),
    datasets: withCleanArguments(createDatasetRepository(client)),
    rates: createRateRepository(client),
    outbox: withCleanArguments(createOutboxRepository(client, url)),
    tokens: withCleanArguments(createTokenRepository(client)),
    async ping() { await client.$queryRaw`SELECT 1`; },
    close: () => client.$disconnect(),
  };
}
