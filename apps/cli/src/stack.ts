import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createDatabase, migrate, type Database } from '@sgpo/database';
import type { TeamId } from '@sgpo/core';
import { CliError } from './cli-error.ts';
import { checkout, type CliConfig } from './config.ts';
import { takeLock } from './embedded/lock.ts';
import { findFreePort, findSamePort } from './embedded/ports.ts';
import { preparePostgres } from './embedded/postgres.ts';
import { supervise, type ProcessSpec, type SupervisedProcess } from './embedded/processes.ts';
import { apiProcess, orchestratorProcess, workerProcess, type ServiceSettings } from './embedded/services.ts';
import { prepareTeacher, teacherModel } from './embedded/teacher.ts';
import { prepareValkey } from './embedded/valkey.ts';
import { timePart } from './parts.ts';

export interface Stack {
  /** Base URL of the REST API. */
  readonly url: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly database: Database;
  /** The team `default`. */
  readonly teamId: TeamId;
  readonly teacher: { readonly baseUrl: string; readonly model: string };
  /** Process id of a part (`worker`, `orchestrator` …); null while it is down. */
  pid(part: string): number | null;
  /** Rejects when a process died too often to be started again; never resolves. */
  readonly failed: Promise<never>;
  /** Stops every part in order, within 30 s. May be called again. */
  stop(): Promise<void>;
}

const stopWithinMs = 30_000;
/** Kept for the two servers that stop last. */
const reserveMs = 5_000;

/**
 * Starts Postgres, its migrations, Valkey, teacher, worker, orchestrator and API under `config.home`, and waits until all answer. Databases
 * given by the environment are used instead of embedded ones. Says each part and its time. Throws CliError, with everything stopped again;
 * so it does when `signal` aborts while it starts.
 */
export async function startStack(config: CliConfig, say: (line: string) => void, signal: AbortSignal): Promise<Stack> {
  const giveBackLock = takeLock(config.home);
  /** In the order of starting. */
  const running: SupervisedProcess[] = [];
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined); // told to whoever waits; nobody may
  let database: Database | null = null;
  let stopped: Promise<void> | null = null;

  const launch = (spec: ProcessSpec): SupervisedProcess => {
    signal.throwIfAborted();
    const started = supervise(spec, { say: (line) => { say(`  ${line}`); }, onGiveUp: failure.reject });
    running.push(started);
    return started;
  };
  const logFile = (name: string): string => join(config.home, 'logs', `${name}.log`);
  const stop = (): Promise<void> => { stopped ??= stopAll(running, () => database?.close() ?? Promise.resolve()).finally(giveBackLock); return stopped; };
  const onAbort = (): void => { void stop(); };
  signal.addEventListener('abort', onAbort, { once: true });

  async function databaseUrl(): Promise<string> {
    if (config.databaseUrl !== null) return config.databaseUrl;
    return timePart(say, 'postgres', async () => {
      const postgres = await preparePostgres({ home: config.home, logFile: logFile('postgres'), port: await findFreePort() });
      await launch(postgres.process).ready;
      return postgres;
    }, ({ how }) => how).then(({ url }) => url);
  }

  async function redisUrl(): Promise<string> {
    if (config.redisUrl !== null) return config.redisUrl;
    return timePart(say, 'valkey', async () => {
      const valkey = prepareValkey({ environment: join(config.home, 'venv'), folder: join(config.home, 'valkey'), logFile: logFile('valkey'), port: await findFreePort() });
      await launch(valkey.process).ready;
      return valkey.url;
    });
  }

  try {
    const url = await databaseUrl();
    await timePart(say, 'migrations', () => migrate(url, join(checkout, 'prisma/migrations')), (applied) => (applied.length === 0 ? 'none' : applied.join(', ')));
    const opened = createDatabase({ url, poolSize: 2 });
    database = opened;
    const teamId = await opened.tokens.ensureTeam('default');
    mkdirSync(join(config.home, 'artifacts'), { recursive: true });
    const redis = await redisUrl();
    // Its address stands in specs: it is the port after the API's wherever that is free.
    const teacherPort = await findSamePort(join(config.home, 'teacher.port'), config.apiPort === 0 ? 0 : config.apiPort + 1);
    const teacher = prepareTeacher({ python: config.python, logFile: logFile('teacher'), port: teacherPort });
    const listen = config.listen ?? `127.0.0.1:${String(config.apiPort === 0 ? await findFreePort() : config.apiPort)}`;
    const settings: ServiceSettings = {
      home: config.home, python: config.python, databaseUrl: url, redisUrl: redis, dataRoots: config.dataRoots, listen,
      allowedHosts: [new URL(teacher.url).host, ...config.allowedHosts], workerAddress: `127.0.0.1:${String(await findFreePort())}`,
    };
    const parts = [teacher.process, workerProcess(settings), orchestratorProcess(settings), apiProcess(settings)].map((spec) => ({ spec, process: launch(spec) }));
    await Promise.all(parts.map(({ spec, process }) => timePart(say, spec.name, () => process.ready)));
    return {
      url: `http://${listen}`, databaseUrl: url, database: opened, teamId, teacher: { baseUrl: teacher.url, model: teacherModel }, redisUrl: redis,
      pid: (part) => running.find(({ name }) => name === part)?.pid() ?? null, failed: failure.promise, stop,
    };
  } catch (error) {
    await stop();
    signal.throwIfAborted();
    if (error instanceof CliError) throw error;
    throw new CliError(`The stack does not start: ${error instanceof Error ? error.message : String(error)}`, `the logs lie in ${join(config.home, 'logs')}`, { cause: error });
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The reverse of starting: who takes work first, the stores last. */
async function stopAll(running: readonly SupervisedProcess[], closeDatabase: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + stopWithinMs;
  await closeDatabase();
  for (const process of running.toReversed()) {
    const isStore = process.name === 'postgres' || process.name === 'valkey';
    await process.stop(Math.max(500, deadline - Date.now() - (isStore ? 0 : reserveMs)));
  }
}
