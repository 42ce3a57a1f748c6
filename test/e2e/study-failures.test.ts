// A study whose runs share their work, while what runs it dies under it: it ends with the digests of the same runs done one after the other, and nothing that is shared is done twice.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunDetail, Study } from '@sgpo/contracts';
import type { PresetName, Report } from '@sgpo/core';
import { digestsOf, startFleet, type Fleet } from './fleet.ts';

const presets: readonly PresetName[] = ['sgpo', 'sgpo-v2', 'sgpo-offpolicy'];

let fleet: Fleet;
const killed: string[] = [];
const study = new Map<string, { readonly detail: RunDetail; readonly report: Report | null }>();

/** Small enough for a study and then each of its runs alone: what is measured in the end is measured elsewhere. */
function small(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const base = fleet.everything() as Record<'preference' | 'sampling' | 'teacher', object> & { readonly data: Record<'improver' | 'policy', object> };
  const { improver, policy } = base.data;
  return {
    ...base, data: { improver: { ...improver, limit: 8 }, policy: { ...policy, limit: 8 } }, sampling: { ...base.sampling, maxNewTokens: 16 }, teacher: { ...base.teacher, maxTokens: 16 },
    rules: { unfinished: 'keep' }, preference: { ...base.preference, epochs: 1 }, execution: { shardRows: 4, ...changes },
  };
}

function kill(part: string): void {
  const pid = fleet.stack.pid(part);
  if (pid === null || killed.includes(part)) return;
  process.kill(pid, 'SIGKILL');
  killed.push(part);
}

/** The orchestrator dies while the first answers are sampled, Redis forgets all while the teacher is asked or later, a worker dies in a training. */
async function disturb(run: RunDetail, redis: Redis): Promise<void> {
  const isRunning = (kind: string): boolean => run.steps.some((step) => step.kind === kind && step.tasks.some(({ state }) => state === 'running'));
  if (isRunning('generate')) kill('orchestrator');
  if (killed.includes('orchestrator') && !killed.includes('redis') && (isRunning('teach') || isRunning('score'))) {
    await redis.flushall();
    killed.push('redis');
  }
  if (killed.includes('redis') && isRunning('sft')) kill('worker');
}

beforeAll(async () => { fleet = await startFleet(); });
afterAll(async () => { await fleet.stop(); });

test('a study outlives its orchestrator, its worker and what Redis held', async () => {
  const redis = new Redis(fleet.stack.redisUrl);
  const { status, body } = await fleet.call<Study>('POST', '/v1/studies', { name: 'disturbed', base: small(), presets });
  expect(status).toBe(201);
  for (const going = new Set(body.runs.map(({ id }) => id)); going.size > 0; await sleep(500)) {
    for (const id of going) {
      const run = await fleet.client.getRun(id);
      if (['succeeded', 'failed', 'canceled'].includes(run.state)) going.delete(id);
      else await disturb(run, redis);
    }
  }
  redis.disconnect();
  for (const { id } of body.runs) {
    const ended = await fleet.wait(id);
    study.set(ended.detail.preset, ended);
  }
  expect(killed).toEqual(['orchestrator', 'redis', 'worker']);
  expect([...study.values()].map(({ detail }) => detail.failure ?? detail.state)).toEqual(presets.map(() => 'succeeded'));
});

test('what its runs share was done once, and no answer was paid twice', () => {
  const shards = [...study.values()].flatMap(({ detail }) => detail.steps.filter(({ kind }) => kind === 'generate' || kind === 'teach')
    .flatMap(({ tasks, kind }) => tasks.filter(({ role, state }) => role === 'shard' && state === 'succeeded').map(({ attempts }) => ({ kind, attempts }))));
  // y₀ and two kinds of target once for all; y of two improvers (`sgpo-offpolicy` trains that of `sgpo`), y⁺ of the two methods that refine; two shards each.
  const steps = { y0: 1, teach: 2, y: 2, yplus: 2 };
  expect(shards.filter(({ kind }) => kind === 'teach')).toHaveLength(steps.teach * 2);
  expect(shards.filter(({ kind }) => kind === 'generate')).toHaveLength((steps.y0 + steps.y + steps.yplus) * 2);
  expect(shards.reduce((sum, { attempts }) => sum + attempts - 1, 0)).toBeLessThanOrEqual(killed.length * 2);
  const calls = [...study.values()].reduce((sum, { report }) => sum + report!.teacher!.calls, 0);
  expect(calls).toBeLessThanOrEqual(steps.teach * 8);
});

test('each run has the digests it has alone, with nothing taken over', async () => {
  for (const preset of presets) {
    const { detail } = await fleet.run({ ...small({ cache: false }), preset } as never);
    expect([preset, detail.failure ?? detail.state]).toEqual([preset, 'succeeded']);
    expect(digestsOf(detail)).toEqual(digestsOf(study.get(preset)!.detail));
  }
});
