import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkout } from '../config.ts';
import { isEvent, waitForLine } from './log-file.ts';
import type { ProcessSpec } from './processes.ts';

/** Settings of the product's own processes; what a variable means is told where the process reads it. */
export interface ServiceSettings {
  readonly home: string;
  readonly python: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly dataRoots: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly listen: string;
  readonly workerAddress: string;
}

const logFile = (settings: ServiceSettings, name: string): string => join(settings.home, 'logs', `${name}.log`);

function environment(settings: ServiceSettings): NodeJS.ProcessEnv {
  return { ...process.env, DATABASE_URL: settings.databaseUrl, REDIS_URL: settings.redisUrl, SGPO_STORE: join(settings.home, 'artifacts') };
}

/** Small heaps: the memory of this machine belongs to the models. V8 would otherwise rather grow than collect. */
const heapFlags = ['--max-semi-space-size=2', '--max-old-space-size=256', '--optimize-for-size'];

/** How this process runs TypeScript or what was built from it: children do the same. */
const entry = (app: string): string[] => [...heapFlags, ...(import.meta.filename.endsWith('.ts')
  ? ['--conditions=source', join(checkout, `apps/${app}/src/main.ts`)] : [join(checkout, `apps/${app}/dist/main.js`)])];

/** The REST API: ready when /readyz says so. */
export function apiProcess(settings: ServiceSettings): ProcessSpec {
  return {
    name: 'api', command: process.execPath, args: entry('api'), cwd: checkout, logFile: logFile(settings, 'api'),
    env: { ...environment(settings), SGPO_DATA_ROOTS: settings.dataRoots.join(':'), SGPO_ALLOWED_HOSTS: settings.allowedHosts.join(','), SGPO_LISTEN: settings.listen },
    leavesBy: 'ipc', stopSignal: 'SIGTERM', stopMs: 5_000, readyMs: 60_000,
    isReady: (_offset, signal) => waitForAnswer(`http://${settings.listen.replace(/^0\.0\.0\.0:|^\[?::\]?:/, '127.0.0.1:')}/readyz`, signal),
  };
}

export function orchestratorProcess(settings: ServiceSettings): ProcessSpec {
  const file = logFile(settings, 'orchestrator');
  return {
    name: 'orchestrator', command: process.execPath, args: entry('orchestrator'), cwd: checkout, logFile: file,
    env: { ...environment(settings), SGPO_DATA_ROOTS: settings.dataRoots.join(':'), SGPO_ALLOWED_HOSTS: settings.allowedHosts.join(','), SGPO_WORKERS: settings.workerAddress },
    leavesBy: 'ipc', stopSignal: 'SIGTERM', stopMs: 12_000, readyMs: 60_000,
    isReady: (offset, signal) => waitForLine(file, offset, (line) => line.includes('orchestrator is up'), signal),
  };
}

/** Seconds a training gets to write a checkpoint when the stack stops. */
const workerGraceSeconds = 18;

export function workerProcess(settings: ServiceSettings): ProcessSpec {
  const file = logFile(settings, 'worker');
  const { DATABASE_URL: _database, REDIS_URL: _redis, ...own } = environment(settings); // it knows files alone
  return {
    name: 'worker', command: settings.python, args: ['-m', 'sgpo_worker.server.main'], cwd: checkout, logFile: file,
    env: {
      ...own, PYTHONPATH: join(checkout, 'python-worker/src'), PYTHONUNBUFFERED: '1', SGPO_WORKER_LISTEN: settings.workerAddress,
      SGPO_WORKER_DATA: join(settings.home, 'worker'), SGPO_PARENT_PID: String(process.pid), SGPO_WORKER_GRACE_SECONDS: String(workerGraceSeconds),
      OMP_WAIT_POLICY: 'PASSIVE', // threads that spin while they wait starve the other processes of a small machine
    },
    leavesBy: 'itself', stopSignal: 'SIGTERM', stopMs: (workerGraceSeconds + 2) * 1000, readyMs: 60_000,
    isReady: (offset, signal) => waitForLine(file, offset, (line) => isEvent(line, 'listening'), signal),
  };
}

async function waitForAnswer(url: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
      if (response.ok) return;
    } catch (error) {
      if (signal.aborted) throw error; // else nothing listens yet
    }
    await sleep(100, undefined, { signal });
  }
}
