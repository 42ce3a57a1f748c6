/** What tests of this process build on: a database, a store and tables of their own, and a run taken through its local steps by hand. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFolderStore, createTables, type PublishedTable } from '@sgpo/artifacts';
import type { Plan, RunId, RunSpec, TeamId } from '@sgpo/core';
import { createDatabase, createTestDatabase, type AttemptRow, type RunTree, type TaskResult, type TaskRow } from '@sgpo/database';
import { createLimits } from '@sgpo/llm';
import { pino } from 'pino';
import { createBudgets } from '../budgets.ts';
import type { LocalContext } from '../local/local-task.ts';
import type { Services } from '../services.ts';

export interface Bed {
  /** Without workers: none is asked here. */
  readonly services: Services;
  readonly teamId: TeamId;
  /** An allowed folder beside the store. */
  readonly root: string;
  tree(id: RunId): Promise<RunTree>;
  task(id: RunId, key: string, index?: number): Promise<TaskRow>;
  run(spec: RunSpec, plan: Plan, teamId?: TeamId): Promise<RunId>;
  /** Claims the ready local task of a step and ends it with a result. */
  finish(id: RunId, key: string, result: TaskResult): Promise<void>;
  close(): Promise<void>;
}

export async function openBed(): Promise<Bed> {
  const test = await createTestDatabase();
  const database = createDatabase({ url: test.url });
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'sgpo-orchestrator-')));
  const store = createFolderStore({ root: join(folder, 'store') });
  const tables = createTables({ store, temporaryRoot: join(folder, 'tmp') });
  const root = join(folder, 'root');
  const services = {
    database, store, tables, limits: createLimits(), budgets: createBudgets({ database }), log: pino({ level: 'silent' }), holder: 'test', leaseMs: 45_000,
    dataRoots: [root], cacheFolder: join(folder, 'downloads'), allowedHosts: ['127.0.0.1'], environment: {},
  } as Partial<Services> as Services;
  const teamId = await database.tokens.ensureTeam('default');

  const tree = async (id: RunId): Promise<RunTree> => {
    const found = await database.runs.tree(id);
    if (found === null) throw new Error(`no run ${id}`);
    return found;
  };
  const task = async (id: RunId, key: string, index = 0): Promise<TaskRow> => {
    const found = (await tree(id)).steps.find((step) => step.key === key)?.tasks[index];
    if (found === undefined) throw new Error(`no task ${String(index)} of ${key}`);
    return found;
  };
  return {
    services, teamId, root, tree, task,
    run: async (spec, plan, team = teamId) => (await database.runs.create({ teamId: team, spec, plan, idempotencyKey: null, bodyHash: null })).run.id,
    async finish(id, key, result) {
      const attempt = await database.attempts.claimLocal({ taskId: (await task(id, key)).id, holder: 'test', holdMs: 60_000 });
      if (attempt === null) throw new Error(`${key} is not ready`);
      await database.attempts.succeed(attempt.id, result);
    },
    async close() {
      await tables.close();
      await database.close();
      await test.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What a step is run with, of a task that is `task` and an attempt that nothing looks at. */
export const contextOf = (services: Services, task: Partial<TaskRow> = {}): LocalContext =>
  ({ services, task: task as TaskRow, attempt: {} as AttemptRow, signal: new AbortController().signal, progress: () => undefined });

export const resultOf = (published: PublishedTable): TaskResult => ({
  rowsIn: published.rows, rowsOut: published.rows, dropped: {}, stats: {}, provenance: {}, peakRssBytes: null,
  output: { digest: published.digest, kind: 'table', bytes: published.bytes, rows: published.rows, files: published.files, meta: {} },
});
