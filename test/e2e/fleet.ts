// A whole stack of its own for the end-to-end tests: real Postgres, Valkey, API, orchestrator, worker and teacher, on a tiny real model.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFolderStore, createTables, type Row } from '@sgpo/artifacts';
import { createClient, type Client } from '@sgpo/client';
import type { RunDetail, RunSpecBody } from '@sgpo/contracts';
import type { Digest, Report } from '@sgpo/core';
import { startStack, type Stack } from '../../apps/cli/src/stack.ts';

const checkout = resolve(import.meta.dirname, '../..');
const setUp = process.env['SGPO_HOME'] ?? join(checkout, '.sgpo');
export const python = join(setUp, 'venv/bin/python');

export interface Fleet {
  readonly stack: Stack;
  readonly client: Client;
  readonly token: string;
  readonly home: string;
  /** Folder the service may read data from. */
  readonly data: string;
  /** The tiny model, and its weights without a chat template. */
  readonly model: string;
  readonly base: string;
  /** Launches a run and waits for its end. `watch` sees every poll. */
  run(spec: RunSpecBody, watch?: (run: RunDetail) => Promise<void> | void): Promise<{ readonly detail: RunDetail; readonly report: Report | null }>;
  /** sgpo+step2 with everything it needs. */
  spec(changes?: Record<string, unknown>): RunSpecBody;
  /** Every section that any preset reads: the base of a study. */
  everything(): Record<string, unknown>;
  /** Waits for the end of a run. */
  wait(id: string, watch?: (run: RunDetail) => Promise<void> | void): Promise<{ readonly detail: RunDetail; readonly report: Report | null }>;
  /** Rows of a table artifact. */
  rows(digest: string | null): Promise<Row[]>;
  /** A JSON call to the API. */
  call<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<{ readonly status: number; readonly body: T }>;
  stop(): Promise<void>;
}

/** Starts it; about 15 s. */
export async function startFleet(): Promise<Fleet> {
  const home = mkdtempSync(join(tmpdir(), 'sgpo-e2e-'));
  chmodSync(home, 0o755); // Postgres may run as another user
  symlinkSync(join(setUp, 'venv'), join(home, 'venv'));
  const data = join(home, 'data');
  const model = join(home, 'models/tiny');
  const base = join(home, 'models/base');
  mkdirSync(data);
  mkdirSync(join(home, 'models'));
  const made = spawnSync(python, [join(checkout, 'test/e2e/tiny_model.py'), join(checkout, 'examples/data/heldout.jsonl'), model, base], { encoding: 'utf8', env: { ...process.env, OMP_WAIT_POLICY: 'PASSIVE' } });
  if (made.status !== 0) throw new Error(`the tiny model was not made: ${made.stderr}`);

  const stack = await startStack({
    home, userFolder: home, apiPort: 0, listen: null, databaseUrl: null, redisUrl: null, dataRoots: [join(checkout, 'examples'), home], allowedHosts: ['127.0.0.1'], python: join(home, 'venv/bin/python'),
  }, () => undefined, new AbortController().signal);
  const { token } = await stack.database.tokens.create({ teamId: stack.teamId, name: 'e2e', expiresAt: null });
  const client = createClient({ baseUrl: stack.url, token });

  const training = { batchSize: 4, microBatchSize: 2, maxLength: 448, learningRate: 1e-4, dtype: 'float32', saveDtype: 'float32', gradientCheckpointing: false };
  const spec = (changes: Record<string, unknown> = {}): RunSpecBody => ({
    preset: 'sgpo+step2', seed: 3, model: { path: model },
    data: {
      improver: { path: join(checkout, 'examples/data/improver.jsonl'), limit: 12 }, policy: { path: join(checkout, 'examples/data/policy.jsonl'), limit: 12 },
      heldOut: { path: join(checkout, 'examples/data/heldout.jsonl'), limit: 5 },
    },
    teacher: { ...stack.teacher, seed: 3, concurrency: 1, maxTokens: 32 },
    sampling: { maxNewTokens: 32, maxLength: 448, blockRows: 4, dtype: 'float32' },
    improverTraining: { ...training, epochs: 1 }, preference: { ...training, beta: 0.1, epochs: 10 },
    execution: { shardRows: 8 },
    ...changes,
  }) as unknown as RunSpecBody;

  const examples = (name: string, limit: number): Record<string, unknown> => ({ path: join(checkout, 'examples/data', name), limit });
  const tables = createTables({ store: createFolderStore({ root: join(home, 'artifacts') }), temporaryRoot: data });

  async function wait(id: string, watch?: (run: RunDetail) => Promise<void> | void): Promise<{ readonly detail: RunDetail; readonly report: Report | null }> {
    for (;;) {
      const detail = await client.getRun(id);
      if (['succeeded', 'failed', 'canceled'].includes(detail.state)) {
        return { detail, report: detail.state === 'succeeded' ? await client.report(id) as unknown as Report : null };
      }
      await watch?.(detail);
      await sleep(200);
    }
  }

  return {
    stack, client, token, home, data, model, base, spec, wait,
    everything: () => {
      const { preset: _, ...shared } = spec({
        preference: { ...training, epochs: 2 }, sftTraining: { ...training, epochs: 1 },
        data: {
          sft: examples('conversations.jsonl', 12), improver: examples('improver.jsonl', 12), policy: examples('policy.jsonl', 12), preferences: examples('policy.jsonl', 12), heldOut: examples('heldout.jsonl', 4),
        },
      }) as unknown as Record<string, unknown>;
      return shared;
    },
    run: async (body, watch) => wait((await client.createRun(body)).id, watch),
    rows: (digest) => Array.fromAsync(tables.scan(digest as Digest)),
    async call(method, path, body) {
      const response = await fetch(`${stack.url}${path}`, {
        method, headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: await response.json() as never };
    },
    async stop() {
      await tables.close();
      await stack.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Digest of each step's output, the report apart (it holds times). */
export const digestsOf = (detail: RunDetail): Record<string, string | null> => Object.fromEntries(detail.steps.filter((step) => step.kind !== 'report').map((step) => [step.key, step.output]));
