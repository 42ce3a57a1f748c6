import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createFolderStore, createTables } from '@sgpo/artifacts';
import { createDatabase } from '@sgpo/database';
import { createLimits } from '@sgpo/llm';
import { createQueues, startConsumer, startRelay } from '@sgpo/queue';
import { pino } from 'pino';
import type { AttemptId, DatasetId, RunId, TaskId } from '@sgpo/core';
import { createAdvance } from './advance.ts';
import { createBudgets } from './budgets.ts';
import { readConfig, type Config } from './config.ts';
import { createFollow } from './follow.ts';
import { createRegistrar } from './local/register.ts';
import { createLocalRunner, localConcurrency } from './local/run-local.ts';
import { placeTasks } from './place.ts';
import { startReconciler } from './reconcile.ts';
import type { Services } from './services.ts';
import { createWorkerRegistry } from './worker-registry.ts';

const config = configOrExit();
const log = pino({ level: config.logLevel, base: { app: 'orchestrator' } });
const database = createDatabase({ url: config.databaseUrl });
const store = createFolderStore({ root: config.store });
const tables = createTables({ store, temporaryRoot: join(config.store, 'tmp') });
const queues = createQueues({ redisUrl: config.redisUrl });
const registry = createWorkerRegistry({ addresses: config.workers, tls: config.tls, database, log });
const services: Services = {
  database, store, tables, registry, limits: createLimits(), budgets: createBudgets({ database }), log, holder: `${hostname()}-${String(process.pid)}-${randomUUID()}`,
  leaseMs: config.leaseMs, dataRoots: config.dataRoots, cacheFolder: config.cacheFolder, allowedHosts: config.allowedHosts, environment: process.env,
};

const advance = createAdvance(services);
const follow = createFollow(services);
const runLocal = createLocalRunner(services);
const register = createRegistrar(services);
const relay = await startRelay({ database, queues, intervalMs: 1_000, log });
const consumers = [
  startConsumer({ queues, queue: 'advance', concurrency: 4, log, handle: ({ runId }) => advance(runId as RunId) }),
  startConsumer({ queues, queue: 'place', concurrency: 1, log, handle: () => placeTasks(services) }),
  startConsumer({ queues, queue: 'follow', concurrency: 256, log, handle: ({ attemptId }, signal) => follow(attemptId as AttemptId, signal) }),
  startConsumer({ queues, queue: 'local', concurrency: localConcurrency, log, handle: ({ taskId }, signal) => runLocal(taskId as TaskId, signal) }),
  startConsumer({ queues, queue: 'register', concurrency: 2, log, handle: ({ datasetId }, signal) => register(datasetId as DatasetId, signal) }),
];
const reconciler = startReconciler(services);
log.info({ workers: config.workers }, 'orchestrator is up');

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info('stopping');
  await reconciler.close();
  await Promise.all(consumers.map((consumer) => consumer.close({ timeoutMs: 10_000 })));
  await relay.close();
  registry.close();
  await queues.close();
  await tables.close();
  await database.close();
  process.exit(0);
}
process.once('SIGINT', () => { void stop(); });
process.once('SIGTERM', () => { void stop(); });
process.once('disconnect', () => { void stop(); });

/** Wrong settings end the process with 2 and a line that names them. */
function configOrExit(): Config {
  try {
    return readConfig(process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  }
}
